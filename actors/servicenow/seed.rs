//! Records that an empty stand-in begins with: what the export needs to be ready, and a few for trying queries.

use super::store::{Store, StoreError};

const SEEDED: &str = "x_muster.seeded";

/// Adds them on the first start. Deleted ones do not come back.
pub fn seed(store: &mut Store, user: &str) -> Result<(), StoreError> {
    if store.tables().first("sys_properties", "name", SEEDED).is_some() {
        return Ok(());
    }
    let text = str::to_owned;
    store.edit("system", |edit| {
        edit.insert("scheduled_import_set", [("name", text("FNMS Import Schedule")), ("active", text("true"))]);
        let staging = text(super::imports::STAGED_COMPUTERS);
        edit.insert("sys_data_source", [("name", text("FNMS Inventory")), ("import_set_table_name", staging)]);
        for (name, value) in [(SEEDED, "true"), ("inventory.add", "Yes"), ("inventory.update", "Yes")] {
            edit.insert("sys_properties", [("name", text(name)), ("value", text(value))]);
        }
        let mut caller = String::new();
        for (user_name, first, last) in
            [(user, "System", "Administrator"), ("abel.tuter", "Abel", "Tuter"), ("beth.anglin", "Beth", "Anglin")]
        {
            let set = [
                ("user_name", text(user_name)),
                ("first_name", text(first)),
                ("last_name", text(last)),
                ("name", format!("{first} {last}")),
                ("email", format!("{user_name}@example.com")),
                ("active", text("true")),
            ];
            caller = edit.insert("sys_user", set).to_string();
        }
        let incidents = [("Printer does not answer", "1", "3"), ("Disk nearly full", "2", "2"), ("Password", "7", "4")];
        for (short_description, state, priority) in incidents {
            let set = [
                ("number", edit.next_number("INC")),
                ("short_description", text(short_description)),
                ("state", text(state)),
                ("priority", text(priority)),
                ("active", text(if state == "7" { "false" } else { "true" })),
                ("caller_id", caller.clone()),
                ("opened_at", edit.stamp()),
            ];
            edit.insert("incident", set);
        }
    })
}
