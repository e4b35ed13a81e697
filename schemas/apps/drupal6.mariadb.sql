-- Tables of Drupal 6, as MariaDB has them: what the preset `drupal6` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. 0 is anonymous and 1 the administrator, each site's own; `picture` is the path of a local file.
CREATE TABLE {users} (
    uid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    name VARCHAR(60) NOT NULL DEFAULT '',
    pass VARCHAR(32) NOT NULL DEFAULT '',
    mail VARCHAR(64) NOT NULL DEFAULT '',
    mode TINYINT NOT NULL DEFAULT 0,
    sort TINYINT NOT NULL DEFAULT 0,
    threshold TINYINT NOT NULL DEFAULT 0,
    theme VARCHAR(255) NOT NULL DEFAULT '',
    signature VARCHAR(255) NOT NULL DEFAULT '',
    signature_format SMALLINT NOT NULL DEFAULT 0,
    created INT NOT NULL DEFAULT 0,
    access INT NOT NULL DEFAULT 0,
    login INT NOT NULL DEFAULT 0,
    status TINYINT NOT NULL DEFAULT 0,
    timezone VARCHAR(8),
    language VARCHAR(12) NOT NULL DEFAULT '',
    picture VARCHAR(255) NOT NULL DEFAULT '',
    init VARCHAR(64) NOT NULL DEFAULT '',
    data LONGTEXT,
    PRIMARY KEY (uid),
    UNIQUE KEY name (name),
    KEY access (access),
    KEY mail (mail)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {sessions} (
    uid INT UNSIGNED NOT NULL,
    sid VARCHAR(64) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INT NOT NULL DEFAULT 0,
    cache INT NOT NULL DEFAULT 0,
    session LONGTEXT,
    PRIMARY KEY (sid),
    KEY timestamp (timestamp),
    KEY uid (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {role} (
    rid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    name VARCHAR(64) NOT NULL DEFAULT '',
    PRIMARY KEY (rid),
    UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {users_roles} (
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    rid INT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, rid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Identities at outside services.
CREATE TABLE {authmap} (
    aid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    uid INT NOT NULL DEFAULT 0,
    authname VARCHAR(128) NOT NULL DEFAULT '',
    module VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (aid),
    UNIQUE KEY authname (authname)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- The fields that profiles have: each site's own list.
CREATE TABLE {profile_fields} (
    fid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    title VARCHAR(255),
    name VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (fid),
    UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {profile_values} (
    fid INT UNSIGNED NOT NULL DEFAULT 0,
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    value LONGTEXT,
    PRIMARY KEY (uid, fid)
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
