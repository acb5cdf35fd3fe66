//! The columns of the files (sections 2 and 3): as listed, starred, bold.

use super::tables::Schema;

pub const DEVICES: Schema = Schema {
    file: "devices.csv",
    columns: &[
        "device",
        "name",
        "kind",
        "os",
        "host",
        "cluster",
        "partition",
        "entitled_capacity",
        "pool_cores",
        "processors",
        "cores",
        "threads",
        "vendor",
        "family",
        "model",
        "bought",
        "hosted_in",
        "region",
        "chassis",
        "group",
        "role",
        "assigned_user",
        "calculated_user",
    ],
    required: &["device"],
    key: &["device"],
};

pub const USERS: Schema =
    Schema { file: "users.csv", columns: &["user", "group", "builtin"], required: &["user"], key: &["user"] };

pub const GROUPS: Schema =
    Schema { file: "groups.csv", columns: &["group", "parent"], required: &["group"], key: &["group"] };

pub const APPLICATIONS: Schema = Schema {
    file: "applications.csv",
    columns: &["application", "publisher", "product", "version", "edition", "licensable", "option_of"],
    required: &["application"],
    key: &["application"],
};

pub const SUITES: Schema = Schema {
    file: "suites.csv",
    columns: &["suite", "member"],
    required: &["suite", "member"],
    key: &["suite", "member"],
};

pub const EVIDENCE: Schema = Schema {
    file: "evidence.csv",
    columns: &["device", "kind", "name", "version", "publisher", "type", "company", "description", "size", "path"],
    required: &["device", "kind"],
    key: &[],
};

pub const EVIDENCE_RULES: Schema = Schema {
    file: "evidence_rules.csv",
    columns: &[
        "rule",
        "application",
        "kind",
        "name",
        "version",
        "publisher",
        "type",
        "company",
        "description",
        "size",
        "path",
        "role",
    ],
    required: &["rule", "application", "kind"],
    key: &["rule"],
};

pub const INSTALLATIONS: Schema = Schema {
    file: "installations.csv",
    columns: &["device", "application"],
    required: &["device", "application"],
    key: &[],
};

pub const USAGE: Schema = Schema {
    file: "usage.csv",
    columns: &["device", "application", "user", "quantity"],
    required: &["device", "application", "user"],
    key: &[],
};

pub const ACCESS: Schema =
    Schema { file: "access.csv", columns: &["application", "device", "user"], required: &["application"], key: &[] };

pub const LICENSES: Schema = Schema {
    file: "licenses.csv",
    columns: &[
        "license",
        "name",
        "type",
        "scope",
        "true_up",
        "true_up_date",
        "manual_status",
        "quantity",
        "allocations_consume",
        "upgrade",
        "downgrade",
        "multiple_use",
        "second_use",
        "vm_use",
        "installs_per_right",
        "core_cap",
        "points_set",
        "sub_capacity",
        "period_days",
        "standard_edition",
        "soft_level",
        "minimum",
        "minimum_per",
        "rule",
        "count",
        "maintenance",
        "processors_per_license",
        "minimum_processors",
        "vms_per_license",
        "resource",
        "steps_set",
    ],
    required: &["license", "type"],
    key: &["license"],
};

pub const LICENSE_APPLICATIONS: Schema = Schema {
    file: "license_applications.csv",
    columns: &["license", "application", "priority", "role", "ratio"],
    required: &["license", "application"],
    key: &["license", "application"],
};

pub const ENTITLEMENTS: Schema = Schema {
    file: "entitlements.csv",
    columns: &["license", "quantity", "effective", "expiry", "retired"],
    required: &["license", "quantity"],
    key: &[],
};

pub const ALLOCATIONS: Schema = Schema {
    file: "allocations.csv",
    columns: &["license", "device", "user", "kind", "exemption"],
    required: &["license"],
    key: &[],
};

pub const EXEMPT_ROLES: Schema = Schema {
    file: "exempt_roles.csv",
    columns: &["license", "role", "reason"],
    required: &["license", "role"],
    key: &["license", "role"],
};

pub const POINTS_RULES: Schema = Schema {
    file: "points_rules.csv",
    columns: &[
        "set",
        "rule",
        "vendor",
        "family",
        "model",
        "os",
        "hosted_in",
        "sockets_min",
        "sockets_max",
        "bought_before",
        "points",
    ],
    required: &["set", "rule", "points"],
    key: &["set", "rule"],
};

pub const STEPS: Schema =
    Schema { file: "steps.csv", columns: &["set", "up_to", "rate"], required: &["set", "rate"], key: &[] };

pub const PEAKS: Schema = Schema {
    file: "peaks.csv",
    columns: &["license", "region", "peak", "since"],
    required: &["license", "peak", "since"],
    key: &["license", "region"],
};
