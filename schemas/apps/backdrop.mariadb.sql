-- Tables of Backdrop CMS 1.x, as MariaDB has them: what the preset `backdrop` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. 0 is anonymous and 1 the administrator, each site's own; `picture` is the number of a local file.
CREATE TABLE {users} (
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    name VARCHAR(60) NOT NULL DEFAULT '',
    pass VARCHAR(128) NOT NULL DEFAULT '',
    mail VARCHAR(254),
    signature VARCHAR(255) NOT NULL DEFAULT '',
    signature_format VARCHAR(255),
    created INT NOT NULL DEFAULT 0,
    changed INT NOT NULL DEFAULT 0,
    access INT NOT NULL DEFAULT 0,
    login INT NOT NULL DEFAULT 0,
    status TINYINT NOT NULL DEFAULT 0,
    timezone VARCHAR(32),
    language VARCHAR(12) NOT NULL DEFAULT '',
    picture INT NOT NULL DEFAULT 0,
    init VARCHAR(254),
    data LONGBLOB,
    PRIMARY KEY (uid),
    UNIQUE KEY name (name),
    KEY access (access),
    KEY mail (mail)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {sessions} (
    uid INT UNSIGNED NOT NULL,
    sid VARCHAR(128) NOT NULL,
    ssid VARCHAR(128) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INT NOT NULL DEFAULT 0,
    session LONGBLOB,
    PRIMARY KEY (sid, ssid),
    KEY timestamp (timestamp),
    KEY uid (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Roles are names from configuration files.
CREATE TABLE {users_roles} (
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    role VARCHAR(64) NOT NULL DEFAULT '',
    PRIMARY KEY (uid, role)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Names as they are shown.
CREATE TABLE {realname} (
    uid INT UNSIGNED NOT NULL,
    realname VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A field of people: its values, and its revisions.
CREATE TABLE {field_data_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A longer one.
CREATE TABLE {field_data_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_bio_value LONGTEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_bio_value LONGTEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A field of contents: not to be shared.
CREATE TABLE {field_data_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    body_value LONGTEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    body_value LONGTEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Whole people, password hashes included: local, and stale when a row comes from elsewhere.
CREATE TABLE {cache_entity_user} (
    cid VARCHAR(255) NOT NULL DEFAULT '',
    data LONGBLOB,
    expire INT NOT NULL DEFAULT 0,
    created INT NOT NULL DEFAULT 0,
    serialized SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (cid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Gives out numbers, of people and of other things: local.
CREATE TABLE {sequences} (
    value INT UNSIGNED NOT NULL AUTO_INCREMENT,
    PRIMARY KEY (value)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Failed logins: local.
CREATE TABLE {flood} (
    fid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    event VARCHAR(64) NOT NULL DEFAULT '',
    identifier VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INT NOT NULL DEFAULT 0,
    expiration INT NOT NULL DEFAULT 0,
    PRIMARY KEY (fid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
