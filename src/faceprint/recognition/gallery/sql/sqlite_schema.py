"""The tables of a gallery in an SQLite file, and their migrations."""

from __future__ import annotations

from faceprint._sqlite import FileFormat

__all__ = ["GALLERY"]

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE gallery (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  uid TEXT NOT NULL,
  model TEXT NOT NULL,
  model_hash TEXT NOT NULL,
  dim INTEGER NOT NULL CHECK (dim BETWEEN 1 AND 4096),
  alignment TEXT NOT NULL,
  fusion TEXT NOT NULL CHECK (fusion IN ('max', 'mean')),
  policy TEXT NOT NULL,
  key_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  scrub INTEGER NOT NULL,
  audit_seq INTEGER NOT NULL,
  audit_hash TEXT NOT NULL,
  created TEXT NOT NULL
) STRICT""",
        """CREATE TABLE subjects (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  metadata TEXT NOT NULL,
  consent TEXT,
  created TEXT NOT NULL
) STRICT""",
        """CREATE TABLE templates (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  subject_key INTEGER NOT NULL REFERENCES subjects (key) ON DELETE CASCADE,
  content BLOB NOT NULL CHECK (length(content) = 32),
  source TEXT NOT NULL,
  box TEXT,
  quality REAL,
  norm REAL NOT NULL,
  created TEXT NOT NULL,
  vector BLOB NOT NULL,
  UNIQUE (subject_key, content)
) STRICT""",
        "CREATE INDEX templates_content ON templates (content)",
        "CREATE INDEX templates_created ON templates (created)",
        """CREATE TABLE crops (
  template_key INTEGER PRIMARY KEY REFERENCES templates (key) ON DELETE CASCADE,
  data BLOB NOT NULL
) STRICT""",
        """CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  time TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT""",
        """CREATE TRIGGER audit_keeps_lines BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER audit_keeps_text BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    ),
    (
        "ALTER TABLE gallery ADD COLUMN digest BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE gallery ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE subjects ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE templates ADD COLUMN crop_tag BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE templates ADD COLUMN tag BLOB NOT NULL DEFAULT x''",
        "CREATE INDEX templates_tag ON templates (tag, key)",
    ),
)

GALLERY = FileFormat("gallery", 0x46507274, _STEPS)  # "FPrt"
