-- A small web site's tables, as Backdrop CMS makes them, for `rosterd demo`.
CREATE TABLE users (
  uid BIGINT NOT NULL PRIMARY KEY,
  name VARCHAR(60) NOT NULL UNIQUE,
  pass VARCHAR(128) NOT NULL DEFAULT '',
  mail VARCHAR(254),
  signature VARCHAR(255) NOT NULL DEFAULT '',
  created BIGINT NOT NULL DEFAULT 0,
  changed BIGINT NOT NULL DEFAULT 0,
  access BIGINT NOT NULL DEFAULT 0,
  login BIGINT NOT NULL DEFAULT 0,
  status SMALLINT NOT NULL DEFAULT 0,
  timezone VARCHAR(32),
  language VARCHAR(12) NOT NULL DEFAULT '',
  picture BIGINT NOT NULL DEFAULT 0,
  init VARCHAR(254) NOT NULL DEFAULT '',
  data BYTEA
);
CREATE TABLE sessions (
  uid BIGINT NOT NULL,
  sid VARCHAR(128) NOT NULL,
  ssid VARCHAR(128) NOT NULL DEFAULT '',
  hostname VARCHAR(128) NOT NULL DEFAULT '',
  timestamp BIGINT NOT NULL DEFAULT 0,
  session BYTEA,
  PRIMARY KEY (sid, ssid)
);
CREATE INDEX sessions_uid ON sessions (uid);
CREATE TABLE users_roles (
  uid BIGINT NOT NULL,
  role VARCHAR(64) NOT NULL,
  PRIMARY KEY (uid, role)
);
CREATE TABLE field_data_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted SMALLINT NOT NULL DEFAULT 0,
  entity_id BIGINT NOT NULL,
  revision_id BIGINT,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta BIGINT NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
);
CREATE TABLE field_revision_field_city (
  entity_type VARCHAR(128) NOT NULL,
  bundle VARCHAR(128) NOT NULL DEFAULT '',
  deleted SMALLINT NOT NULL DEFAULT 0,
  entity_id BIGINT NOT NULL,
  revision_id BIGINT NOT NULL,
  language VARCHAR(32) NOT NULL DEFAULT '',
  delta BIGINT NOT NULL,
  field_city_value VARCHAR(255),
  field_city_format VARCHAR(255),
  PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
);
CREATE TABLE cache_entity_user (
  cid VARCHAR(255) NOT NULL PRIMARY KEY,
  data BYTEA
);
