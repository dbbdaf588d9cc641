-- The first schema. Applied once, in one transaction; its hash is kept, so this file never changes again.
-- Every row outside `entries` carries a MAC under a key that is not in the database (proxy/store/macs.py).
-- Columns marked "sealed" are encrypted and bound to their place (proxy/store/sealing.py); NULL once erased.

CREATE TABLE meta (
  key TEXT PRIMARY KEY NOT NULL,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The record: the exact bytes that were hashed. Append-only.
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY NOT NULL,
  hash BLOB NOT NULL,
  call_id TEXT,
  data BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_call ON entries (call_id, seq) WHERE call_id IS NOT NULL;

-- The end of the chain, moved in the same transaction as its last entry.
CREATE TABLE head (
  one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL,
  mac BLOB NOT NULL
) STRICT;

CREATE TABLE calls (
  id TEXT PRIMARY KEY NOT NULL,
  agent TEXT NOT NULL,
  server TEXT NOT NULL,
  tool TEXT NOT NULL,
  method TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  repeat_key TEXT NOT NULL,
  proposed_digest TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  version INTEGER NOT NULL,
  session TEXT,
  on_behalf_of TEXT,
  direction TEXT NOT NULL,
  review_id TEXT,
  previous_id TEXT,
  definition_digest TEXT,
  outcome_kind TEXT,
  inspection TEXT NOT NULL,
  delivered_at REAL,
  dispatched_at REAL,
  answered_at REAL,
  failure TEXT,
  resolution TEXT,
  labels TEXT NOT NULL,
  erased_at REAL,
  mac BLOB NOT NULL,
  decision BLOB NOT NULL,  -- sealed
  proposed BLOB,           -- sealed
  approved BLOB,           -- sealed
  outcome BLOB             -- sealed
) STRICT;
CREATE INDEX calls_by_repeat_key ON calls (repeat_key, created_at);
CREATE INDEX calls_alive ON calls (state, created_at)
  WHERE state IN ('waiting', 'dispatching', 'in_doubt', 'quarantined');
CREATE INDEX calls_answerable ON calls (updated_at)
  WHERE state = 'closed' OR (state IN ('answered', 'released', 'resolved') AND delivered_at IS NULL);
CREATE INDEX calls_not_erased ON calls (created_at) WHERE erased_at IS NULL;

CREATE TABLE reviews (
  id TEXT PRIMARY KEY NOT NULL,
  call_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  opened_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  approval TEXT NOT NULL,
  binding TEXT NOT NULL,
  nonce TEXT NOT NULL,
  version INTEGER NOT NULL,
  answered_rules TEXT NOT NULL,
  undo_until REAL,
  grant_expires_at REAL,
  settled_at REAL,
  settled_by TEXT,
  comment TEXT NOT NULL,
  escalated_to TEXT,
  claimed_by TEXT,
  claimed_until REAL,
  changed_at REAL NOT NULL,
  due_at REAL,  -- when time itself moves this review on; NULL when it cannot
  mac BLOB NOT NULL
) STRICT;
CREATE INDEX reviews_by_call ON reviews (call_id);
CREATE INDEX reviews_open ON reviews (opened_at, kind)
  WHERE state IN ('parked', 'approving', 'approved', 'quarantined');
CREATE INDEX reviews_ended ON reviews (changed_at)
  WHERE state NOT IN ('parked', 'approving', 'approved', 'quarantined');
CREATE INDEX reviews_due ON reviews (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE votes (
  review_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  reviewer TEXT NOT NULL,
  verdict TEXT NOT NULL,
  at REAL NOT NULL,
  comment TEXT NOT NULL,
  shown_digest TEXT NOT NULL,
  looked_ms INTEGER NOT NULL,
  login TEXT NOT NULL,
  team TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (review_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  name TEXT PRIMARY KEY NOT NULL,
  password_hash TEXT,
  roles TEXT NOT NULL,
  teams TEXT NOT NULL,
  owns_agents TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  created_at REAL NOT NULL,
  sessions_from REAL NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY NOT NULL,
  account TEXT NOT NULL,
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  last_seen_at REAL NOT NULL,
  login TEXT NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
  token_hash TEXT PRIMARY KEY NOT NULL,
  account TEXT NOT NULL,
  expires_at REAL NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
  server TEXT NOT NULL,
  tool TEXT NOT NULL,
  digest TEXT NOT NULL,
  definition TEXT NOT NULL,
  first_seen_at REAL NOT NULL,
  accepted_digest TEXT,
  accepted_by TEXT,
  accepted_at REAL,
  mac BLOB NOT NULL,
  PRIMARY KEY (server, tool)
) STRICT, WITHOUT ROWID;

-- The text of each policy snapshot once, and every time one was loaded.
CREATE TABLE snapshots (
  id TEXT PRIMARY KEY NOT NULL,
  files TEXT NOT NULL,
  mac BLOB NOT NULL
) STRICT;

CREATE TABLE snapshot_loads (
  n INTEGER PRIMARY KEY NOT NULL,
  id TEXT NOT NULL,
  loaded_by TEXT NOT NULL,
  loaded_at REAL NOT NULL,
  mac BLOB NOT NULL
) STRICT;
