use super::*;

fn words() -> Vocabulary {
    let all = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(word, names)| ((*word).to_owned(), names.split('、').map(str::to_owned).collect()))
            .collect::<Vec<(String, Vec<String>)>>()
    };
    Vocabulary {
        columns: typed(all(&[
            ("building", "楼栋、楼号"),
            ("unit", "单元"),
            ("floor", "楼层"),
            ("room", "房号"),
            ("window_hint", "窗户位置"),
            ("name", "姓名"),
            ("called", "称呼"),
            ("phone", "电话"),
            ("birth_year", "出生年份"),
            ("categories", "特殊群体"),
            ("risk_band", "分级"),
            ("hearing_hint", "听力"),
            ("contacts", "联系人"),
            ("primary", "结对党员"),
            ("backup", "替补"),
            ("deadline", "约定时间"),
            ("sign", "约定信号"),
            ("consents", "同意事项"),
        ])),
        categories: typed(all(&[("tekun", "特困、五保"), ("living_alone", "独居"), ("advanced_age", "高龄")])),
        bands: typed(all(&[("red", "红"), ("yellow", "黄"), ("green", "绿")])),
        signs: typed(all(&[("open", "拉开窗帘"), ("card", "挂笑脸")])),
        scopes: typed(all(&[("daily_check", "每天看窗"), ("key_entry", "紧急进门")])),
        minutes: vec!["分钟".to_owned(), "min".to_owned()],
    }
}

fn known() -> Known {
    let building =
        |id: u128, name: &str, compound: &str| Building { id: Uuid::from_u128(id), name: name.to_owned(), compound: compound.to_owned() };
    let person = |id: u128, name: &str, phone: &str| Person { id: Uuid::from_u128(id), name: name.to_owned(), phone: phone.to_owned() };
    Known {
        buildings: vec![building(1, "3号楼", "锦绣苑"), building(2, "4号楼", "锦绣苑"), building(3, "4号楼", "滨河苑")],
        members: vec![person(11, "王建国", "13800000000"), person(12, "刘桂芳", "13800000001"), person(13, "刘桂芳", "13800000002")],
        seniors: BTreeSet::from([(Uuid::from_u128(1), "2单元".to_owned(), "401".to_owned(), "张桂英".to_owned())]),
    }
}

fn table(text: &str) -> Vec<Line> {
    let line = |(at, line): (usize, &str)| Line { number: at + 1, cells: line.split('|').map(str::to_owned).collect() };
    text.lines().enumerate().map(line).collect()
}

fn problems(text: &str) -> Vec<(Option<usize>, Option<Column>, &'static str)> {
    let reading = read(&table(text), &words(), &known(), 2026);
    reading.problems.into_iter().map(|problem| (problem.row, problem.column, problem.key)).collect()
}

#[test]
fn a_full_row_is_understood_as_people_write_it() {
    let text = "锦绣社区独居老人名单\n\
        楼栋*|单元|楼层|房号|窗户位置|姓名|称呼|电话|出生年份|特殊群体（可多选）|分级|听力|联系人|结对党员|替补|约定时间|约定信号|同意事项\n\
        ３号楼|2单元|4层|402|左二窗|李桂兰|李奶奶|138 0013 8000|1938年|五保、独居|红|右耳好些|女儿 李梅 13900000000 20分钟；儿子，李强，13900000001|王建国|13800000001|9点半|拉开窗帘|每天看窗，紧急进门\n\
        |||||||\n";
    let reading = read(&table(text), &words(), &known(), 2026);
    assert_eq!(reading.problems, []);
    let entry = &reading.entries[0];
    assert_eq!((entry.row, entry.floor, entry.birth_year), (3, Some(4), Some(1938)));
    assert_eq!(entry.phone.as_deref(), Some("13800138000"));
    assert_eq!(entry.categories, BTreeSet::from([Category::LivingAlone, Category::Tekun]), "the old word for tekun");
    assert_eq!(entry.deadline, NaiveTime::from_hms_opt(9, 30, 0));
    assert_eq!((entry.primary, entry.backup), (Some(Uuid::from_u128(11)), Some(Uuid::from_u128(12))));
    assert_eq!(entry.contacts.len(), 2);
    assert_eq!((entry.contacts[0].relation.as_str(), entry.contacts[0].minutes_away), ("女儿", Some(20)));
    assert_eq!(entry.contacts[1].name, "李强");
    assert_eq!(entry.consents.len(), 2);
}

#[test]
fn every_bad_cell_of_a_table_is_named_with_row_and_column() {
    use Column as C;
    let head = "楼栋|单元|楼层|房号|姓名|电话|出生年份|特殊群体|分级|联系人|结对党员|替补|约定时间\n";
    let bad = "9号楼||二十五层|402||12|38|穷|红、绿|李梅|赵六|刘桂芳|早上\n4号楼|1|1|1|甲|||||||13800000000|\n3号楼|2单元||401|张桂英||||||13800000000|13800000000|\n";
    let row = |row, list: &[(C, &'static str)]| list.iter().map(|(column, key)| (Some(row), Some(*column), *key)).collect::<Vec<_>>();
    let mut expected = row(
        2,
        &[
            (C::Unit, "import.cell_missing"),
            (C::Name, "import.cell_missing"),
            (C::Building, "import.building_unknown"),
            (C::Floor, "import.floor"),
            (C::Phone, "import.phone"),
            (C::BirthYear, "import.birth_year"),
            (C::Deadline, "import.deadline"),
            (C::Categories, "import.word_unknown"),
            (C::RiskBand, "import.only_one"),
            (C::Contacts, "import.contact"),
            (C::Primary, "import.member_unknown"),
            (C::Backup, "import.member_twice"),
        ],
    );
    expected.extend(row(3, &[(C::Building, "import.building_twice")]));
    expected.extend(row(4, &[(C::Backup, "import.same_person"), (C::Name, "import.known_already")]));
    assert_eq!(problems(&format!("{head}{bad}")), expected);
}

#[test]
fn a_table_without_headings_with_foreign_ones_or_without_rows_is_refused_whole() {
    assert_eq!(problems("1|2|3\n"), vec![(None, None, "import.no_headings")]);
    assert_eq!(problems(""), vec![(None, None, "import.no_headings")]);
    assert_eq!(problems("楼栋|单元|房号|姓名\n"), vec![(None, None, "import.no_rows")]);
    let found = problems("楼栋|单元|姓名|姓名|身份证\n3号楼|1|甲|甲|1\n");
    let keys: Vec<_> = found.iter().map(|(.., key)| *key).collect();
    assert_eq!(keys, ["import.column_twice", "import.column_unknown", "import.column_missing"]);
    assert_eq!(problems("楼栋|单元|房号|姓名\n3号楼|1|1|甲\n3号楼|1|1|甲\n"), vec![(Some(3), Some(Column::Name), "import.twice")]);
    let long = format!("楼栋|单元|房号|姓名\n3号楼|1|1|{}\n", "长".repeat(65));
    assert_eq!(problems(&long), vec![(Some(2), Some(Column::Name), "register.text_length")]);
}

#[test]
fn a_formula_is_its_own_characters_and_nothing_else() {
    let reading = read(&table("楼栋|单元|房号|姓名\n3号楼|1|=1+1|=HYPERLINK(\"x\")\n"), &words(), &known(), 2026);
    assert_eq!((reading.entries[0].room.as_str(), reading.entries[0].name.as_str()), ("=1+1", "=HYPERLINK(\"x\")"));
}

#[test]
fn times_years_and_floors_are_read_in_the_ways_in_which_they_are_written() {
    for (written, expected) in [
        ("9:00", Some((9, 0))),
        ("09：30", Some((9, 30))),
        ("9点", Some((9, 0))),
        ("9点半", Some((9, 30))),
        ("9点15分", Some((9, 15))),
        ("0.375", Some((9, 0))),
        ("09:00:00", Some((9, 0))),
        ("25:00", None),
        ("早", None),
        ("9", None),
        ("1.5", None),
    ] {
        assert_eq!(cell::time(written), expected.and_then(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0)), "{written}");
    }
    for (written, expected) in
        [("1938", Some(1938)), ("1938-05-01", Some(1938)), ("38", None), ("2030", None), ("1850", None), ("19385", None)]
    {
        assert_eq!(cell::year(written, 2026), expected, "{written}");
    }
    for (written, expected) in [("4", Some(4)), ("4层", Some(4)), ("-1", Some(-1)), ("４楼", Some(4)), ("4.5", None), ("四", None)] {
        assert_eq!(cell::floor(written), expected, "{written}");
    }
}

fn typed<T: std::str::FromStr>(pairs: Vec<(String, Vec<String>)>) -> Vec<(T, Vec<String>)>
where
    T::Err: std::fmt::Debug,
{
    pairs.into_iter().map(|(word, names)| (word.parse().unwrap(), names)).collect()
}
