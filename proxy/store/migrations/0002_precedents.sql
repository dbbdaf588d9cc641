-- What people decided in the like case, and the last calls of a session: for the page of a call.

-- A settled review under a keyed commitment to the shape of its call; what was decided is read from the review itself.
CREATE TABLE precedents (
  review_id TEXT PRIMARY KEY NOT NULL,
  shape TEXT NOT NULL,
  at REAL NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX precedents_by_shape ON precedents (shape, at);

CREATE INDEX calls_by_session ON calls (session) WHERE session IS NOT NULL;
