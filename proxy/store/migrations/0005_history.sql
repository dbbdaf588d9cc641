-- What each agent did with each tool, for the facts the gate makes of it: read back at every start.

-- All calls by who called what, when. None of these columns ever changes.
CREATE INDEX calls_by_action ON calls (agent, server, tool, created_at);

-- Calls that ended in an error or were refused.
CREATE INDEX calls_ended_badly ON calls (updated_at)
  WHERE state IN ('denied', 'closed', 'failed_before_send', 'failed_after_send', 'in_doubt', 'resolved')
  OR failure IS NOT NULL;
