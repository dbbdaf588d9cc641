-- Calls that people may veto are open to them, and calls that are over may wait to be judged: two more kinds of list.
-- No row changes; the lists of open and of ended reviews are found by their new conditions.
DROP INDEX reviews_open;
DROP INDEX reviews_ended;
CREATE INDEX reviews_open ON reviews (opened_at, kind)
  WHERE state IN ('vetoable', 'parked', 'approving', 'approved', 'quarantined');
CREATE INDEX reviews_ended ON reviews (changed_at)
  WHERE state NOT IN ('vetoable', 'parked', 'approving', 'approved', 'quarantined', 'unjudged');
CREATE INDEX reviews_unjudged ON reviews (opened_at) WHERE state = 'unjudged';
