-- Tables of WordPress, as MariaDB has them: what the preset `wordpress` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. `user_login` is not unique in the schema.
CREATE TABLE {users} (
    ID BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    user_login VARCHAR(60) NOT NULL DEFAULT '',
    user_pass VARCHAR(255) NOT NULL DEFAULT '',
    user_nicename VARCHAR(50) NOT NULL DEFAULT '',
    user_email VARCHAR(100) NOT NULL DEFAULT '',
    user_url VARCHAR(100) NOT NULL DEFAULT '',
    user_registered DATETIME NOT NULL DEFAULT '1970-01-01 00:00:00',
    user_activation_key VARCHAR(255) NOT NULL DEFAULT '',
    user_status INT NOT NULL DEFAULT 0,
    display_name VARCHAR(250) NOT NULL DEFAULT '',
    PRIMARY KEY (ID),
    KEY user_login (user_login),
    KEY user_nicename (user_nicename),
    KEY user_email (user_email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- What there is to know of people, sessions and rights among it. No key says that a name is there once: docs/presets/wordpress.md.
CREATE TABLE {usermeta} (
    umeta_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    user_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
    meta_key VARCHAR(255),
    meta_value LONGTEXT,
    PRIMARY KEY (umeta_id),
    KEY user_id (user_id),
    KEY meta_key (meta_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
