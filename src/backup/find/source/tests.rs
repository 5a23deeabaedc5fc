use super::*;
use crate::backup::catalog::entry::Entry;
use crate::backup::catalog::entry::tests::entry;

fn entry_of(name: Option<&str>, path: &str) -> Entry {
    Entry {
        queue_name: name.map(str::to_owned),
        source_path: path.into(),
        ..entry("a.db", "2026-01-01T00:00:00.000Z")
    }
}

fn source(name: Option<&str>, path: &str, former: &[&str]) -> Source {
    Source {
        name: name.map_or(Name::None, |name| Name::Given(name.into())),
        path: path.into(),
        paths: HashSet::from([path.to_owned()]),
        former: former.iter().map(|&path| path.to_owned()).collect(),
        claimed: HashSet::new(),
        others: HashSet::new(),
    }
}

/// The look-up, by the paths' first letters.
fn there(path: &Path) -> FileAt {
    match path.to_string_lossy().get(..2) {
        Some("/g") => FileAt::Nothing,
        Some("/m") => FileAt::Itself,
        _ => FileAt::Another,
    }
}

fn settled(source: Source, entries: &[Entry]) -> Result<Source> {
    source.among_with(entries.iter().map(Made::from), there)
}

#[test]
fn without_a_name_the_path_decides() {
    let entries = [
        entry_of(None, "/own"),
        entry_of(None, "/mounted"),
        entry_of(None, "/gone"),
        entry_of(None, "/gone too"),
        entry_of(None, "/other"),
        entry_of(Some("n"), "/own"),
        entry_of(None, ""),
    ];
    let owns = |former: &[&str]| -> Vec<bool> {
        let source = settled(source(None, "/own", former), &entries).unwrap();
        entries.iter().map(|entry| source.owns(entry)).collect()
    };
    assert_eq!(owns(&[]), [true, true, false, false, false, false, false]);
    // With another database at the path, `former_paths` claims its backups.
    assert_eq!(owns(&["/gone", "/other"]), [true, true, true, false, false, false, false]);
}

#[test]
fn what_was_made_where_another_file_lies_is_in_doubt_though_it_is_ones_own() {
    let paths = ["/own", "/mounted", "/gone", "/other"];
    let entries: Vec<Entry> = paths.iter().map(|path| entry_of(Some("n"), path)).collect();
    for former in [&["/other", "/gone"][..], &[]] {
        let source = settled(source(Some("n"), "/own", former), &entries).unwrap();
        let found = |entry| (source.owns(entry), source.may_be_anothers(entry));
        let expected = [(true, false), (true, false), (true, false), (true, true)];
        assert_eq!(entries.iter().map(found).collect::<Vec<_>>(), expected, "{former:?}");
    }
}

#[test]
fn only_what_was_made_of_its_own_file_is_more_than_claimed() {
    let paths = ["/own", "/mounted", "/gone", "/other", "/gone too"];
    let entries: Vec<Entry> = paths.iter().map(|path| entry_of(Some("n"), path)).collect();
    let claims = |source: Source| entries.iter().map(|entry| source.only_claims(entry)).collect::<Vec<_>>();
    let named = source(Some("n"), "/own", &["/other", "/gone too"]);
    assert_eq!(claims(settled(named, &entries).unwrap()), [false, false, true, true, true]);
}

#[test]
fn a_name_decides_wherever_the_database_lies() {
    let entries = [entry_of(Some("n"), "/gone"), entry_of(None, "/own"), entry_of(Some("m"), "/own")];
    let source = settled(source(Some("n"), "/own", &[]), &entries).unwrap();
    assert_eq!(entries.iter().map(|entry| source.owns(entry)).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(source.label(), "n");
}

#[test]
fn a_copy_is_known_by_where_the_newest_of_its_name_was_made() {
    let refused = |newest: &str, former: &[&str]| {
        let entries = [entry_of(Some("m"), "/x"), entry_of(Some("n"), newest), entry_of(Some("n"), "/other")];
        settled(source(Some("n"), "/own", former), &entries).is_err()
    };
    assert!(refused("/other", &[]));
    assert!(!refused("/other", &["/other"]));
    assert!(!refused("/own", &[]));
    assert!(!refused("/gone", &[]));
    assert!(!refused("/mounted", &[]));
    assert!(!refused("", &[]));
}

#[test]
fn a_database_that_is_too_broken_to_say_has_the_name_of_its_backups() {
    let unread = || Source { name: Name::Unread, ..source(None, "/own", &[]) };
    let name = |entries: &[Entry]| settled(unread(), entries).map(|source| source.name().map(str::to_owned));
    assert_eq!(name(&[entry_of(Some("m"), "/other"), entry_of(None, "/own")]).unwrap(), None);
    assert_eq!(name(&[entry_of(Some("n"), "/own")]).unwrap().as_deref(), Some("n"));
    assert!(name(&[entry_of(Some("n"), "/own"), entry_of(Some("m"), "/own")]).is_err());
    let error = name(&[entry_of(Some("n"), "/other"), entry_of(Some("n"), "/own")]).unwrap_err();
    assert!(error.message().contains("pass the path or the id"), "{error}");
    assert!(!error.message().contains("queue_set"), "{error}");
}

#[test]
fn the_name_of_a_queue_that_lay_there_before_is_not_taken() {
    let unread = Source { name: Name::Unread, ..source(None, "/own", &[]) };
    let entries = [entry_of(Some("n"), "/other"), entry_of(None, "/own"), entry_of(Some("n"), "/own")];
    let source = settled(unread.clone(), &entries).unwrap();
    assert_eq!(entries.iter().map(|entry| source.owns(entry)).collect::<Vec<_>>(), [false, true, false]);
    // A name set later keeps the earlier backups.
    let entries = [entry_of(Some("n"), "/own"), entry_of(None, "/own")];
    let source = settled(unread, &entries).unwrap();
    assert_eq!(entries.iter().map(|entry| source.owns(entry)).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn the_advice_about_a_copy_can_be_typed() {
    let error = a_copy("n", "/own", "/o'b\"r");
    assert!(error.message().contains(r#"queue_set('former_paths', '["/o''b\"r"]')"#), "{error}");
}

#[test]
fn a_database_without_a_file_and_a_name_stands_for_nobody() {
    assert!(!source(None, "", &[]).is_known());
    assert!(source(Some("n"), "", &[]).is_known());
    assert!(source(None, "/own", &[]).is_known());
    let nobody = settled(source(None, "", &["/gone"]), &[entry_of(None, "/gone")]).unwrap();
    assert!(!nobody.owns(&entry_of(None, "/gone")));
}

#[test]
fn those_who_have_to_choose_are_told_what_there_is() {
    let mut entries: Vec<Entry> = (0..20).map(|number| entry_of(None, &format!("/{number}"))).collect();
    entries.insert(0, entry_of(Some("n"), "/x"));
    entries.insert(1, entry_of(Some("n"), "/y"));
    let error = no_own_backup(&source(None, "/own", &[]), Path::new("/b"), &entries);
    for part in ["no backups of '/own'", "the queue 'n' (2 backups, the newest made 2026", "13 more", "former_paths"]
    {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert_eq!(only(&entries[..2]), Some(Key::Named("n")));
    assert_eq!(only(&entries), None);
    assert_eq!(only(&[]), None);
}
