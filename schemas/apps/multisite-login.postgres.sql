-- Tables of the Multisite Login module for Drupal 6, as PostgreSQL has them: what the preset `multisite-login` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- Session ids that a login is being carried over with: each works once.
CREATE TABLE {multisite_login} (
    sid VARCHAR(64) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sid)
);

CREATE TABLE {multisite_login_sessions} (
    sid VARCHAR(64) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sid)
);
