//! The presets at work: each application's tables at three sites, a configuration by `rosterd init`, and what the application
//! writes when a person does something, in the transactions that it uses, seen at the other sites.

#[path = "presets/drupal.rs"]
mod drupal;
#[path = "presets/drupal_people.rs"]
mod drupal_people;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;
#[path = "presets/sharing.rs"]
mod sharing;
#[path = "presets/stage.rs"]
mod stage;
#[path = "presets/wordpress.rs"]
mod wordpress;

use drupal::Flavor;

#[test]
fn people_of_backdrop() {
    drupal::run(Flavor::Backdrop);
}

#[test]
fn people_of_drupal_7() {
    drupal::run(Flavor::Seven);
}

#[test]
fn people_of_drupal_6_with_multisite_login() {
    drupal::run(Flavor::Six);
}

#[test]
fn people_of_wordpress() {
    wordpress::run();
}

#[test]
fn sites_that_share_some_tables_already_and_number_roles_differently() {
    sharing::run();
}
