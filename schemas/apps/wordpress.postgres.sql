-- Tables of WordPress, as PostgreSQL has them: what the preset `wordpress` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.
-- PostgreSQL folds ID to id: the mapping of columns is `init`'s to write.

-- People. `user_login` is not unique in the schema.
CREATE TABLE {users} (
    ID BIGSERIAL,
    user_login VARCHAR(60) NOT NULL DEFAULT '',
    user_pass VARCHAR(255) NOT NULL DEFAULT '',
    user_nicename VARCHAR(50) NOT NULL DEFAULT '',
    user_email VARCHAR(100) NOT NULL DEFAULT '',
    user_url VARCHAR(100) NOT NULL DEFAULT '',
    user_registered TIMESTAMP NOT NULL DEFAULT '1970-01-01 00:00:00',
    user_activation_key VARCHAR(255) NOT NULL DEFAULT '',
    user_status INTEGER NOT NULL DEFAULT 0,
    display_name VARCHAR(250) NOT NULL DEFAULT '',
    PRIMARY KEY (ID)
);
CREATE INDEX {users}_user_login ON {users} (user_login);
CREATE INDEX {users}_user_nicename ON {users} (user_nicename);
CREATE INDEX {users}_user_email ON {users} (user_email);

-- What there is to know of people, sessions and rights among it. No key says that a name is there once: docs/presets/wordpress.md.
CREATE TABLE {usermeta} (
    umeta_id BIGSERIAL,
    user_id BIGINT NOT NULL DEFAULT 0 CHECK (user_id >= 0),
    meta_key VARCHAR(255),
    meta_value TEXT,
    PRIMARY KEY (umeta_id)
);
CREATE INDEX {usermeta}_user_id ON {usermeta} (user_id);
CREATE INDEX {usermeta}_meta_key ON {usermeta} (meta_key);
