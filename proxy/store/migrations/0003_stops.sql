-- The kill switch: what is stopped, and what was. Lifted stops stay, so that a file left behind is known for what it is.
CREATE TABLE stops (
  id TEXT PRIMARY KEY NOT NULL,
  scope TEXT NOT NULL,
  target TEXT NOT NULL,
  ordered_by TEXT NOT NULL,
  why TEXT NOT NULL,
  at REAL NOT NULL,
  login TEXT NOT NULL,
  lifted_at REAL,
  lifted_by TEXT,
  lifted_why TEXT NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stops_standing ON stops (at) WHERE lifted_at IS NULL;
