//! A made-up estate: the same for every run.
//!
//! Fifty installations on each device, of a thousand applications, some far more common than others. Every application is
//! covered: 500 licences of types 2, 4, 15 and 25 in turn, two applications each. One device in eight is a virtual machine
//! on one of its neighbours. Contested: licences share their applications in pairs and are bought for a third of the use.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Applications on each device.
const EACH: usize = 50;
const APPLICATIONS: u64 = 1_000;
const LICENCES: u64 = 500;
const TYPES: [u8; 4] = [2, 4, 15, 25];

/// The files of the folder.
pub struct Made {
    /// By name.
    pub files: BTreeMap<&'static str, String>,
}

/// Numbers that look drawn: splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl Made {
    /// The files for so many devices.
    pub fn new(devices: u64, contested: bool) -> Made {
        let mut files = BTreeMap::new();
        let mut draw = Draw(7);
        let (mut list, mut installed) = (String::new(), String::from("device,application\n"));
        list.push_str("device,kind,host,processors,cores,threads,vendor,family,region,role,assigned_user\n");
        let mut counts = vec![0_u64; APPLICATIONS as usize];
        for device in 0..devices {
            let family = ["Xeon Gold 6338", "Xeon E5-2690", "EPYC 7763", "Core i7-1185G7"][draw.below(4) as usize];
            let vendor = if family.starts_with("EPYC") { "AMD" } else { "Intel" };
            let region = ["emea", "americas", "asia"][draw.below(3) as usize];
            let user = draw.below(devices);
            let place = device % 8;
            if place == 7 {
                let host = device - 1 - draw.below(7).min(device - 1);
                let host = if host % 8 == 7 { host - 1 } else { host };
                writeln!(list, "d{device:07},vm,d{host:07},1,4,8,{vendor},{family},{region},,u{user:07}")
            } else {
                let (sockets, cores) = (1 + draw.below(2), [8, 16, 24, 32][draw.below(4) as usize]);
                let threads = 2 * sockets * cores;
                let cores = sockets * cores;
                writeln!(
                    list,
                    "d{device:07},physical,,{sockets},{cores},{threads},{vendor},{family},{region},,u{user:07}"
                )
            }
            .expect("memory takes it");
            let mut on = Vec::with_capacity(EACH);
            while on.len() < EACH {
                // Squared, so that low numbers are common.
                let drawn = draw.below(APPLICATIONS) * draw.below(APPLICATIONS) / APPLICATIONS;
                if !on.contains(&drawn) {
                    on.push(drawn);
                }
            }
            for application in on {
                counts[application as usize] += 1;
                writeln!(installed, "d{device:07},app{application:04}").expect("memory takes it");
            }
        }
        files.insert("devices.csv", list);
        files.insert("installations.csv", installed);
        let mut applications = String::from("application,publisher,product,version\n");
        for application in 0..APPLICATIONS {
            writeln!(applications, "app{application:04},Maker {},Product {application},1.0", application % 50)
                .expect("memory takes it");
        }
        files.insert("applications.csv", applications);
        files.insert(
            "points_rules.csv",
            "set,rule,family,points\npoints,1,%xeon%,70\npoints,2,epyc%,100\npoints,3,%,50\n".into(),
        );
        licences(&mut files, contested, &counts);
        Made { files }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.files.values().map(String::len).sum()
    }
}

fn licences(files: &mut BTreeMap<&'static str, String>, contested: bool, counts: &[u64]) {
    let mut list = String::from("license,name,type,multiple_use,points_set,sub_capacity\n");
    let mut links = String::from("license,application,priority\n");
    let mut bought = String::from("license,quantity\n");
    for licence in 0..LICENCES {
        let metric = TYPES[(licence / 2 % 4) as usize];
        let points = if metric == 15 || metric == 25 { "points" } else { "" };
        writeln!(list, "lic{licence:03},Licence {licence},{metric},yes,{points},yes").expect("memory takes it");
        // Contested licences share the applications of their neighbour.
        let of = if contested { vec![licence & !1, licence | 1] } else { vec![licence] };
        let mut used = 0;
        for owner in of {
            for application in [owner, owner + LICENCES] {
                writeln!(links, "lic{licence:03},app{application:04},{}", 1 + licence % 2).expect("memory takes it");
                used += counts[application as usize];
            }
        }
        let each = if metric == 15 || metric == 25 { 2_000 } else { 1 };
        let quantity = if contested { used * each / 60 } else { 100 * used * each };
        writeln!(bought, "lic{licence:03},{quantity}").expect("memory takes it");
    }
    files.insert("licenses.csv", list);
    files.insert("license_applications.csv", links);
    files.insert("entitlements.csv", bought);
}
