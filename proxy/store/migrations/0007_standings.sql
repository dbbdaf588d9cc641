-- Graduated autonomy: the level of each agent in each domain, and what its next one is to be judged by.
CREATE TABLE standings (
  id TEXT PRIMARY KEY NOT NULL,
  agent TEXT NOT NULL,
  domain TEXT NOT NULL,
  level INTEGER NOT NULL,
  since REAL NOT NULL,
  outcomes TEXT NOT NULL,
  review_id TEXT,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
