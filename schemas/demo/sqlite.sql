-- A small web site's tables, as Backdrop CMS makes them, for `rosterd demo`.
CREATE TABLE users (
  uid INTEGER NOT NULL PRIMARY KEY,
  name VARCHAR(60) NOT NULL UNIQUE,
  pass VARCHAR(128) NOT NULL DEFAULT '',
  mail VARCHAR(254),
  signature VARCHAR(255) NOT NULL DEFAULT '',
  created INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0,
  access INTEGER NOT NULL DEFAULT 0,
  login INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  timezone VARCHAR(32),
  language VARCHAR(12) NOT NULL DEFAULT '',
  picture INTEGER NOT NULL DEFAULT 0,
  init VARCHAR(254) NOT NULL DEFAULT '',
  data BLOB
);
CREATE TABLE sessions (
  uid INTEGER NOT NULL,
  sid VARCHAR(128) NOT NULL,
  ssid VARCHAR(128) NOT NULL DEFAULT '',
  hostname VARCHAR(128) NOT NULL DEFAULT '',
  timestamp INTEGER NOT NULL DEFAULT 0,
  session BLOB,
  PRIMARY KEY (sid, ssid)
);
CREATE INDEX sessions_uid ON sessions (uid);
CREATE TABLE users_roles (
  uid INTEGER NOT NULL,
  role VARCHAR(64) NOT NULL,
  PRIMARY KEY (uid, role)
);
CREATE TABLE field_data_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted INTEGER NOT NULL DEFAULT 0,
  entity_id INTEGER NOT NULL,
  revision_id INTEGER,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta INTEGER NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
);
CREATE TABLE field_revision_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted INTEGER NOT NULL DEFAULT 0,
  entity_id INTEGER NOT NULL,
  revision_id INTEGER NOT NULL,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta INTEGER NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
);
CREATE TABLE cache_entity_user (
  cid VARCHAR(255) NOT NULL PRIMARY KEY,
  data BLOB
);
