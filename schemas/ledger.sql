-- The ledger's format 4. One writer; readers (status of a stopped daemon) open it read-only.

-- format, ledger id, order and marker numbers given out so far, sites that an operator has paused
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE site (
    id          INTEGER PRIMARY KEY,        -- never given to another site: dots name it
    name        TEXT NOT NULL UNIQUE,
    role        TEXT NOT NULL,              -- hub, client, removed
    identity    TEXT,                       -- which database it was when last seen
    position    TEXT,                       -- captured up to here; NULL: not yet
    counter     INTEGER NOT NULL DEFAULT 0, -- of the last dot
    captured_us INTEGER,                    -- commit time of the last captured transaction
    marked      INTEGER,                    -- last watermark heard; its row stays at the site, to tell an old backup by
    seen_us     INTEGER                     -- when its log was last read, by the daemon's clock
);

CREATE TABLE shared_table (
    id      INTEGER PRIMARY KEY,            -- never given to another table
    name    TEXT NOT NULL UNIQUE,
    key     TEXT NOT NULL,                  -- JSON list of column names
    columns TEXT NOT NULL,                  -- JSON list; a column's place is its number, for good
    claimed TEXT NOT NULL DEFAULT '[]'      -- JSON list of unique keys: column numbers, whether text is folded
);

-- How far a site's table is known: absent means not yet.
CREATE TABLE site_table (
    site           INTEGER NOT NULL,
    tbl            INTEGER NOT NULL,
    mode           TEXT NOT NULL,           -- first, gap, restored, accepted, put_back
    phase          TEXT NOT NULL,           -- waiting, scanning, counting, sweeping, tidying, done
    generation     INTEGER NOT NULL,
    restored       INTEGER NOT NULL,        -- generation by which the site had come back from a backup; 0: it had not
    cursor         BLOB,                    -- key of the last row scanned
    swept          INTEGER NOT NULL DEFAULT 0,
    missing        INTEGER NOT NULL DEFAULT 0,
    rows_read      INTEGER NOT NULL DEFAULT 0,
    rows_estimated INTEGER NOT NULL DEFAULT 0,
    started_us     INTEGER,
    finished_us    INTEGER,
    stopped        TEXT,                    -- why nothing is captured from or applied to it
    vouched_to     INTEGER NOT NULL DEFAULT 0, -- of rows up to this one without an entry, the site holds the merged version,
    vouched_by     INTEGER NOT NULL DEFAULT 0, -- as the first sweep of this generation has come by
    PRIMARY KEY (site, tbl)
) WITHOUT ROWID;

CREATE TABLE row (
    id     INTEGER PRIMARY KEY AUTOINCREMENT, -- never given to another row: what is under way or held back names it
    tbl    INTEGER NOT NULL,
    key    BLOB NOT NULL,                   -- whose bytes sort as keys do
    record BLOB NOT NULL,                   -- life, registers, which scans came by
    UNIQUE (tbl, key)
);

-- What sites hold instead of a row, or are owed of it; tombstones that wait. No line: every site holds the merged version.
CREATE TABLE held (
    row     INTEGER PRIMARY KEY,
    entries BLOB NOT NULL,                  -- for each site what it holds, and the source transactions that the row took part in
    open    INTEGER NOT NULL                -- some site is owed it, or it is a tombstone that waits
);

-- Who has which value of a unique key: fingerprints of the merged values.
CREATE TABLE claim (
    tbl   INTEGER NOT NULL,
    print INTEGER NOT NULL,
    row   INTEGER NOT NULL,
    PRIMARY KEY (tbl, print, row)
) WITHOUT ROWID;

-- Claims that several rows make.
CREATE TABLE contested (
    tbl   INTEGER NOT NULL,
    print INTEGER NOT NULL,
    PRIMARY KEY (tbl, print)
) WITHOUT ROWID;

-- Markers that were heard back and are still in the site's marker table.
CREATE TABLE heard (
    site   INTEGER NOT NULL,
    marker INTEGER NOT NULL,
    PRIMARY KEY (site, marker)
) WITHOUT ROWID;

CREATE TABLE conflict (
    id      INTEGER PRIMARY KEY,
    at_us   INTEGER NOT NULL,               -- when it was decided
    kind    TEXT NOT NULL,
    tbl     INTEGER NOT NULL,
    key     BLOB NOT NULL,
    winner  INTEGER NOT NULL,
    loser   INTEGER NOT NULL,
    lost    BLOB NOT NULL                   -- column numbers and the values that lost
);
CREATE INDEX conflict_at ON conflict (at_us);

CREATE TABLE quarantine (
    site     INTEGER NOT NULL,
    row      INTEGER NOT NULL,
    tbl      INTEGER NOT NULL,
    key      BLOB NOT NULL,
    kind     TEXT NOT NULL,                 -- unique, reference, data, value, apart, kin
    reason   TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    tries    INTEGER NOT NULL,
    PRIMARY KEY (site, row)
) WITHOUT ROWID;
