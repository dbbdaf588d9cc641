-- Periods of sampled audit: whose commitment stands in the record, and whose key does by now (SEMANTICS §1.13).
CREATE TABLE sampling_periods (
  name TEXT PRIMARY KEY NOT NULL,
  opened_at REAL NOT NULL,
  published_at REAL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
