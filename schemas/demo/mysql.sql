-- A small web site's tables, as Backdrop CMS makes them, for `rosterd demo`.
CREATE TABLE users (
  uid INT UNSIGNED NOT NULL PRIMARY KEY,
  name VARCHAR(60) NOT NULL UNIQUE,
  pass VARCHAR(128) NOT NULL DEFAULT '',
  mail VARCHAR(254),
  signature VARCHAR(255) NOT NULL DEFAULT '',
  created INT UNSIGNED NOT NULL DEFAULT 0,
  changed INT UNSIGNED NOT NULL DEFAULT 0,
  access INT UNSIGNED NOT NULL DEFAULT 0,
  login INT UNSIGNED NOT NULL DEFAULT 0,
  status TINYINT NOT NULL DEFAULT 0,
  timezone VARCHAR(32),
  language VARCHAR(12) NOT NULL DEFAULT '',
  picture INT UNSIGNED NOT NULL DEFAULT 0,
  init VARCHAR(254) NOT NULL DEFAULT '',
  data LONGBLOB
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE sessions (
  uid INT UNSIGNED NOT NULL,
  sid VARCHAR(128) NOT NULL,
  ssid VARCHAR(128) NOT NULL DEFAULT '',
  hostname VARCHAR(128) NOT NULL DEFAULT '',
  timestamp INT UNSIGNED NOT NULL DEFAULT 0,
  session LONGBLOB,
  PRIMARY KEY (sid, ssid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE INDEX sessions_uid ON sessions (uid);
CREATE TABLE users_roles (
  uid INT UNSIGNED NOT NULL,
  role VARCHAR(64) NOT NULL,
  PRIMARY KEY (uid, role)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE field_data_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted TINYINT NOT NULL DEFAULT 0,
  entity_id INT UNSIGNED NOT NULL,
  revision_id INT UNSIGNED,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta INT UNSIGNED NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE field_revision_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted TINYINT NOT NULL DEFAULT 0,
  entity_id INT UNSIGNED NOT NULL,
  revision_id INT UNSIGNED NOT NULL,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta INT UNSIGNED NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE cache_entity_user (
  cid VARCHAR(255) NOT NULL PRIMARY KEY,
  data LONGBLOB
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
