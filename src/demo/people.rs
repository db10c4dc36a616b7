//! The invented people of the demo. Any likeness is chance.

use crate::domain::place::Role;

/// name, how texts call the person, phone, roles.
pub struct DemoMember {
    pub name: &'static str,
    pub called: &'static str,
    pub phone: &'static str,
    pub roles: &'static [(Role, Scope)],
    /// May sign in with a password.
    pub signs_in: bool,
}

/// Where a role holds, by index into the street.
#[derive(Clone, Copy)]
pub enum Scope {
    Street,
    Community,
    Compound(usize),
    Building(usize),
}

pub const STREET: &str = "向阳街道";
pub const COMMUNITY: &str = "锦绣社区";
pub const COMPOUNDS: [&str; 2] = ["锦绣苑", "和平里"];
pub const BUILDINGS_PER_COMPOUND: usize = 3;
pub const SENIORS_PER_BUILDING: usize = 10;

/// The first five walk under the windows.
pub const VOLUNTEERS: usize = 5;

pub const MEMBERS: [DemoMember; 12] = [
    DemoMember {
        name: "王建国", called: "王师傅", phone: "13900000001", roles: &[(Role::Volunteer, Scope::Compound(0))], signs_in: true
    },
    DemoMember {
        name: "刘志明", called: "刘师傅", phone: "13900000002", roles: &[(Role::Volunteer, Scope::Compound(0))], signs_in: true
    },
    DemoMember {
        name: "张秀梅", called: "张阿姨", phone: "13900000003", roles: &[(Role::Volunteer, Scope::Compound(0))], signs_in: false
    },
    DemoMember {
        name: "何永福", called: "何师傅", phone: "13900000004", roles: &[(Role::Volunteer, Scope::Compound(1))], signs_in: false
    },
    DemoMember {
        name: "吴淑芬", called: "吴阿姨", phone: "13900000005", roles: &[(Role::Volunteer, Scope::Compound(1))], signs_in: false
    },
    DemoMember {
        name: "陈桂英",
        called: "陈楼长",
        phone: "13900000006",
        roles: &[
            (Role::BuildingLead, Scope::Building(0)),
            (Role::BuildingLead, Scope::Building(1)),
            (Role::BuildingLead, Scope::Building(2)),
        ],
        signs_in: false,
    },
    DemoMember {
        name: "郑和平",
        called: "郑楼长",
        phone: "13900000007",
        roles: &[
            (Role::BuildingLead, Scope::Building(3)),
            (Role::BuildingLead, Scope::Building(4)),
            (Role::BuildingLead, Scope::Building(5)),
        ],
        signs_in: false,
    },
    DemoMember {
        name: "马超",
        called: "网格员小马",
        phone: "13900000008",
        roles: &[(Role::GridOfficerFullTime, Scope::Community), (Role::PropertyStaff, Scope::Community)],
        signs_in: false,
    },
    DemoMember {
        name: "王秀兰",
        called: "社工小王",
        phone: "13900000009",
        roles: &[(Role::SocialWorker, Scope::Community)],
        signs_in: true,
    },
    DemoMember {
        name: "李国强",
        called: "李书记",
        phone: "13900000010",
        roles: &[(Role::BranchSecretary, Scope::Community)],
        signs_in: false,
    },
    DemoMember {
        name: "孙丽", called: "街道值班孙丽", phone: "13900000011", roles: &[(Role::StreetDuty, Scope::Street)], signs_in: false
    },
    DemoMember {
        name: "赵明",
        called: "管理员赵明",
        phone: "13900000012",
        roles: &[(Role::Administrator, Scope::Street), (Role::Operator, Scope::Street)],
        signs_in: true,
    },
];

/// One building's seniors: surname, given name, grandmother or grandfather.
pub const SENIORS: [(&str, &str, bool); SENIORS_PER_BUILDING] = [
    ("张", "桂兰", true),
    ("李", "文华", false),
    ("赵", "玉珍", true),
    ("王", "德明", false),
    ("刘", "秀英", true),
    ("陈", "福贵", false),
    ("杨", "素琴", true),
    ("黄", "长山", false),
    ("周", "凤仙", true),
    ("孙", "守仁", false),
];

/// The curtain that stays shut: 锦绣苑3号楼, 赵奶奶.
pub const SHUT: (usize, usize) = (2, 2);
