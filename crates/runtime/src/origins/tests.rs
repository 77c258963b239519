//! States that are handed from one directory to another, through a network that loses, repeats and reorders.

use super::*;
use crate::checkpoint::tests::Stream;
use engine::origins::Origins as _;
use std::io::Read;

/// A store below a directory that goes away with the test.
struct Hub {
    path: PathBuf,
    store: Origins,
}

impl Hub {
    fn new(name: &str) -> Hub {
        let path = std::env::temp_dir().join(format!("streamgauge-{}-hub-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Hub { store: store(&path, OriginLimits::default()), path }
    }

    /// As after `kill -9`.
    fn open_again(&mut self) {
        self.store = store(&self.path, OriginLimits::default());
    }

    /// The newest commit of the origin, which must be whole.
    fn newest(&self) -> Option<Manifest> {
        let copied = read(&self.path, "a", "events").unwrap()?;
        assert!(copied.restored.damaged.is_empty(), "{:?}", copied.restored.damaged);
        Some(copied.restored.manifest)
    }

    fn files(&self) -> Vec<PathBuf> {
        let places = super::read::places(&self.path.join(ORIGINS));
        let files = |place: &PathBuf| -> Vec<PathBuf> {
            entries(place).unwrap().iter().map(|name| place.join(name)).collect()
        };
        places.iter().flat_map(files).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn store(path: &Path, limits: OriginLimits) -> Origins {
    Origins::open(path, Box::new(|_| Ok(())), limits).unwrap()
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[derive(Clone)]
enum Request {
    Offer(Vec<u8>),
    Segment { state: String, name: String, bytes: Vec<u8> },
}

/// What is between the two: with `odds`, one request in so many is lost, one repeated, and one old one comes.
struct Network<'a> {
    store: &'a Origins,
    origin: &'a str,
    odds: u64,
    seed: u64,
    /// What was sent once, to come again at any time.
    past: Vec<Request>,
}

impl<'a> Network<'a> {
    fn quiet(store: &'a Origins) -> Network<'a> {
        Network { store, origin: "a", odds: 0, seed: 0, past: Vec::new() }
    }

    fn deliver(&self, request: &Request) -> Result<Option<Offered>, No> {
        match request {
            Request::Offer(manifest) => self.store.offer(self.origin, "events", manifest).map(Some),
            Request::Segment { state, name, bytes } => {
                let of = SegmentOf { origin: self.origin, source: "events", state, name };
                let mut part = self.store.segment(&of)?;
                bytes.chunks(100).try_for_each(|chunk| part.push(chunk))?;
                part.finish().map(|()| None)
            }
        }
    }

    fn send(&mut self, request: Request) -> Result<Option<Offered>, Failure> {
        let lost = || Err(Failure::Later("lost".into()));
        let odds = self.odds;
        let mut one_in = |n: u64| odds > 0 && random(&mut self.seed).is_multiple_of(n);
        let (before, after, twice, old) = (one_in(odds), one_in(odds), one_in(odds), one_in(odds));
        if odds > 0 {
            self.past.push(request.clone());
        }
        if old {
            let nth = random(&mut self.seed) as usize % self.past.len();
            // Whatever is said to it nobody hears.
            let _ = self.deliver(&self.past[nth]);
        }
        if before {
            return lost();
        }
        if twice {
            let _ = self.deliver(&request);
        }
        let answer = self.deliver(&request);
        if after {
            return lost();
        }
        answer.map_err(|no| match no {
            No::NotThis(why) => Failure::NotThis(why),
            No::Busy | No::NoSpace | No::Failed(_) => Failure::Later(no.to_string()),
            _ => Failure::Never(no.to_string()),
        })
    }
}

impl Remote for Network<'_> {
    fn offer(&mut self, _: &str, manifest: &[u8]) -> Result<Offered, Failure> {
        self.send(Request::Offer(manifest.to_vec())).map(|offered| offered.expect("an answer to an offer"))
    }

    fn segment(
        &mut self,
        _: &str,
        state: &str,
        name: &str,
        bytes: u64,
        mut file: File,
    ) -> Result<(), Failure> {
        let (state, name, mut all) = (state.to_string(), name.to_string(), Vec::new());
        file.read_to_end(&mut all).expect("a segment");
        assert_eq!(all.len() as u64, bytes);
        self.send(Request::Segment { state, name, bytes: all }).map(|_| ())
    }
}

/// Pushes until it is done.
fn insist(stream: &Stream, network: &mut Network<'_>) -> Sent {
    for _ in 0..1_000 {
        match push(&stream.path, network) {
            Ok(sent) => return sent.expect("there is a commit"),
            Err(PushError::There(Failure::Later(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("it never comes through");
}

#[test]
fn a_commit_arrives_as_it_is_and_the_next_one_replaces_it() {
    let (mut stream, hub) = (Stream::new("push"), Hub::new("push"));
    let mut network = Network::quiet(&hub.store);
    assert_eq!(push(&stream.path, &mut network).unwrap(), None);
    let (mut sent_bytes, mut all_bytes) = (0, 0);
    for round in 0..12 {
        stream.block(round * 400, 400);
        let manifest = stream.commit();
        let sent = push(&stream.path, &mut network).unwrap().unwrap();
        assert_eq!((sent.commit, sent.known), (manifest.number, false));
        assert_eq!(hub.newest(), Some(manifest.clone()));
        sent_bytes += sent.bytes;
        all_bytes += manifest.segments.iter().map(|segment| segment.bytes).sum::<u64>();
        let again = push(&stream.path, &mut network).unwrap().unwrap();
        assert_eq!((again.known, again.segments), (true, 0));
    }
    assert!(sent_bytes * 2 < all_bytes, "{sent_bytes} of {all_bytes} bytes: closed panes go once");
    // Nothing piles up: two commits and what they name.
    assert_eq!(hub.files().iter().filter(|path| path.to_string_lossy().contains("commit-")).count(), KEPT);
    assert!(!hub.files().iter().any(|path| path.ends_with(OFFER)));
}

/// 8 streams of events through bad networks. After every step the origin has a whole commit, never an older one than before,
/// and in the end the last.
#[test]
fn what_is_lost_repeated_or_late_changes_nothing() {
    for seed in 0..8 {
        let (mut stream, mut hub) =
            (Stream::new(&format!("chaos-{seed}")), Hub::new(&format!("chaos-{seed}")));
        let (mut past, mut newest) = (Vec::new(), 0);
        for round in 0..8 {
            stream.block(round * 120, 120);
            let manifest = stream.commit();
            let mut network =
                Network { odds: 4, seed: seed * 100 + round as u64, past, ..Network::quiet(&hub.store) };
            // Some commits are given up halfway.
            if network.seed.is_multiple_of(3) && round < 7 {
                let _ = push(&stream.path, &mut network);
            } else {
                insist(&stream, &mut network);
                assert_eq!(hub.newest(), Some(manifest), "seed {seed}, round {round}");
            }
            past = network.past;
            let now = hub.newest().map_or(0, |manifest| manifest.number);
            assert!(now >= newest, "seed {seed}, round {round}: {now} after {newest}");
            newest = now;
            hub.open_again();
        }
    }
}

#[test]
fn a_state_that_began_anew_replaces_the_old_one_and_is_not_replaced_by_it() {
    let hub = Hub::new("anew");
    let mut network = Network::quiet(&hub.store);
    let mut old = Stream::new("anew-old");
    for round in 0..5 {
        old.block(round * 300, 300);
        old.commit();
    }
    push(&old.path, &mut network).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    let mut new = Stream::new("anew-new");
    new.block(0, 300);
    let first = new.commit();
    assert_eq!(push(&new.path, &mut network).unwrap().unwrap().commit, 1);
    assert_eq!(hub.newest(), Some(first.clone()));
    old.block(1_500, 300);
    old.commit();
    match push(&old.path, &mut network) {
        Err(PushError::There(Failure::Never(why))) => assert!(why.contains("a name each"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(hub.newest(), Some(first));
    assert_eq!(super::read::places(&hub.path.join(ORIGINS)).len(), 1, "the old one is gone");
}

#[test]
fn a_flipped_byte_is_named_and_the_next_push_mends_it() {
    let (mut stream, hub) = (Stream::new("flip"), Hub::new("flip"));
    let mut network = Network::quiet(&hub.store);
    stream.block(0, 2_000);
    let manifest = stream.commit();
    push(&stream.path, &mut network).unwrap();
    for segment in &manifest.segments {
        let path = hub.files().into_iter().find(|path| path.ends_with(&segment.file)).unwrap();
        let whole = fs::read(&path).unwrap();
        for change in [whole.len() / 2, whole.len() - 1] {
            let mut bad = whole.clone();
            bad[change] ^= 4;
            fs::write(&path, bad).unwrap();
            let error = read(&hub.path, "a", "events").unwrap_err().to_string();
            assert!(error.contains(&segment.file) && error.contains("checksum"), "{error}");
            let sent = push(&stream.path, &mut network).unwrap().unwrap();
            assert_eq!((sent.known, sent.segments), (true, 1), "only what is damaged");
            assert_eq!(hub.newest(), Some(manifest.clone()));
        }
    }
    // The manifest too.
    let path = hub.files().into_iter().find(|path| path.to_string_lossy().contains("commit-")).unwrap();
    fs::write(&path, b"SGCOMMIT").unwrap();
    push(&stream.path, &mut network).unwrap();
    assert_eq!(hub.newest(), Some(manifest));
}

#[test]
fn a_segment_that_is_damaged_here_is_named_here() {
    let (mut stream, hub) = (Stream::new("bad-here"), Hub::new("bad-here"));
    stream.block(0, 2_000);
    let manifest = stream.commit();
    let path = stream.path.join(&manifest.segments[0].file);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [&flipped[..], &whole[1..], b""] {
        fs::write(&path, bad).unwrap();
        match push(&stream.path, &mut Network::quiet(&hub.store)) {
            Err(PushError::Damaged(why)) => assert!(why.contains(&manifest.segments[0].file), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(hub.newest(), None);
}

#[test]
fn a_store_that_is_killed_goes_on() {
    let (mut stream, mut hub) = (Stream::new("killed"), Hub::new("killed"));
    stream.block(0, 2_000);
    let manifest = stream.commit();
    let raw = manifest.write();
    let Ok(Offered::Lacks { state, segments }) = hub.store.offer("a", "events", &raw) else { panic!() };
    let of = SegmentOf { origin: "a", source: "events", state: &state, name: &segments[0] };
    let mut part = hub.store.segment(&of).unwrap();
    part.push(b"half").unwrap();
    // A process that ends has no destructors.
    std::mem::forget(part);
    assert!(hub.files().iter().any(|path| path.to_string_lossy().ends_with(PART)));
    hub.open_again();
    assert!(!hub.files().iter().any(|path| path.to_string_lossy().ends_with(PART)));
    assert_eq!(hub.newest(), None);
    assert_eq!(push(&stream.path, &mut Network::quiet(&hub.store)).unwrap().unwrap().commit, 1);
    assert_eq!(hub.newest(), Some(manifest));
}

#[test]
fn what_others_may_send_is_bounded() {
    let (mut stream, hub) = (Stream::new("bounds"), Hub::new("bounds"));
    stream.block(0, 500);
    let manifest = stream.commit();
    let raw = manifest.write();
    let tight = |limits: OriginLimits| store(&hub.path, limits).offer("b", "events", &raw);
    let all = OriginLimits::default();
    let too_much = |answer: Result<Offered, No>| assert!(matches!(answer, Err(No::TooMuch(_))), "{answer:?}");
    too_much(tight(OriginLimits { bytes_max: 100, ..all }));
    too_much(tight(OriginLimits { raw_bytes_max: 100, ..all }));
    too_much(tight(OriginLimits { manifest_bytes_max: 100, ..all }));
    push(&stream.path, &mut Network::quiet(&hub.store)).unwrap();
    too_much(tight(OriginLimits { origins_max: 1, ..all }));

    let bad = |origin: &str, change: &dyn Fn(&mut Manifest)| {
        let mut other = manifest.clone();
        change(&mut other);
        let answer = hub.store.offer(origin, "events", &other.write());
        assert!(matches!(answer, Err(No::Bad(_))), "{answer:?}");
    };
    for name in ["..", "", "a/b", ".hidden"] {
        bad(name, &|_| ());
    }
    for name in ["segment-../../x", "commit-0", "segment-x/y", "", "segment-\0", "offer", "segment-a.part"] {
        bad("a", &|manifest| manifest.segments[0].file = name.into());
    }
    bad("a", &|manifest| manifest.segments[1].file = manifest.segments[0].file.clone());
    bad("a", &|manifest| manifest.state = StateId::default());
    bad("a", &|manifest| manifest.about.source = "other".into());
    assert!(matches!(hub.store.offer("a", "other", &raw), Err(No::Bad(_))));
    for source in ["", ".", "..", "a/b", "a\\b", &"x".repeat(1_000)] {
        assert!(matches!(hub.store.offer("a", source, &raw), Err(No::NoSource(_))), "{source}");
    }
    for cut in 0..raw.len() {
        assert!(matches!(hub.store.offer("a", "events", &raw[..cut]), Err(No::Bad(_))), "{cut} bytes");
    }
    let segment = |state: &str, name: &str| {
        hub.store.segment(&SegmentOf { origin: "a", source: "events", state, name }).err()
    };
    assert!(matches!(segment("..", "x"), Some(No::Bad(_))));
    let state = name_of(manifest.state);
    assert!(matches!(segment(&state, &manifest.segments[0].file), Some(No::NotThis(_))), "it is all there");
}

#[test]
fn what_measures_something_else_is_refused_in_its_words() {
    let (mut stream, hub) = (Stream::new("fits"), Hub::new("fits"));
    stream.block(0, 500);
    stream.commit();
    let fits = Box::new(|about: &About| Err(No::Another(format!("`{}` is another", about.source))));
    let store = Origins::open(&hub.path, fits, OriginLimits::default()).unwrap();
    match push(&stream.path, &mut Network::quiet(&store)) {
        Err(PushError::There(Failure::Never(why))) => assert_eq!(why, "`events` is another"),
        other => panic!("{other:?}"),
    }
    assert!(hub.files().is_empty() && names(&hub.path, "events").is_empty());
}

#[test]
fn of_two_commits_of_one_number_the_later_one_stays() {
    let (mut stream, hub) = (Stream::new("twice"), Hub::new("twice"));
    stream.block(0, 500);
    let first = stream.commit();
    push(&stream.path, &mut Network::quiet(&hub.store)).unwrap();
    // As a run writes it that fell back to the commit before.
    let again = Manifest { written_us: first.written_us + 1, next_block: 77, ..first.clone() };
    let offer = |manifest: &Manifest| hub.store.offer("a", "events", &manifest.write());
    assert_eq!(offer(&again), Ok(Offered::Taken));
    for _ in 0..2 {
        assert_eq!(offer(&first), Ok(Offered::Known { commit: 1 }), "it is late");
        assert_eq!(offer(&again), Ok(Offered::Known { commit: 1 }));
        assert_eq!(hub.newest().as_ref(), Some(&again));
    }
}

#[test]
fn only_the_bytes_that_the_commit_names_are_kept() {
    let (mut stream, hub) = (Stream::new("bytes"), Hub::new("bytes"));
    stream.block(0, 500);
    let manifest = stream.commit();
    let Ok(Offered::Lacks { state, segments }) = hub.store.offer("a", "events", &manifest.write()) else {
        panic!()
    };
    assert_eq!(segments.len(), manifest.segments.len());
    let whole = fs::read(stream.path.join(&segments[0])).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    let send = |bytes: &[u8]| {
        let of = SegmentOf { origin: "a", source: "events", state: &state, name: &segments[0] };
        let mut part = hub.store.segment(&of)?;
        bytes.chunks(100).try_for_each(|chunk| part.push(chunk))?;
        part.finish()
    };
    for bad in [&flipped[..], &whole[1..], &longer, b""] {
        assert!(matches!(send(bad), Err(No::NotThis(_))));
        assert!(
            !hub.files().iter().any(|path| path.to_string_lossy().contains(&segments[0])),
            "nothing stays"
        );
    }
    assert_eq!(send(&whole), Ok(()));
    let of = SegmentOf { origin: "a", source: "events", state: &state, name: &segments[0] };
    let held: Vec<_> = (0..OriginLimits::default().incoming_max).map(|_| hub.store.segment(&of)).collect();
    assert!(held.iter().all(Result::is_ok));
    assert!(matches!(hub.store.segment(&of), Err(No::Busy)));
    drop(held);
    assert!(hub.store.segment(&of).is_ok());
}

/// A saved state of no sources, which no other one equals.
fn saved(number: u64) -> Vec<u8> {
    let file = engine::state::StateFile {
        name: "p.toml".into(),
        pipeline: format!("state {number}"),
        overrides: Vec::new(),
        question: engine::spec::Question::Total,
        whole: true,
        sources: Vec::new(),
    };
    file.write()
}

fn with_saved(path: &Path) -> Origins {
    store(path, OriginLimits::default()).with_saved(Box::new(|_| Ok(())))
}

#[test]
fn of_saved_states_the_newest_revision_counts_whatever_is_lost_repeated_or_late() {
    let hub = Hub::new("saved");
    let mut store = with_saved(&hub.path);
    let (mut seed, mut newest) = (7, 0);
    for _ in 0..400 {
        let revision = 1 + random(&mut seed) % 60;
        let said = store.merge("a", revision, &saved(revision));
        if revision > newest {
            assert_eq!(said, Ok(Replaced::Taken), "{revision} after {newest}");
            newest = revision;
        } else {
            assert_eq!(said, Ok(Replaced::Known { revision: newest }), "{revision} after {newest}");
        }
        let sent = super::read_saved(&hub.path, "a").unwrap().expect("a state");
        assert_eq!((sent.revision, sent.file.pipeline), (newest, format!("state {newest}")));
        if random(&mut seed).is_multiple_of(20) {
            store = with_saved(&hub.path);
        }
    }
    assert_eq!(super::saved_names(&hub.path), ["a"]);
    let place = hub.path.join(ORIGINS).join("a/saved.d");
    assert!(entries(&place).unwrap().len() <= 2, "what nobody needs is removed");
    let other = store.merge("a", newest, &saved(1_000)).unwrap_err();
    assert!(matches!(&other, No::Another(why) if why.contains("other bytes")), "{other:?}");
}

#[test]
fn a_saved_state_that_is_damaged_is_named_and_mended_by_the_next_one() {
    let hub = Hub::new("saved-damaged");
    let store = with_saved(&hub.path);
    assert_eq!(store.merge("a", 1, &saved(1)), Ok(Replaced::Taken));
    assert_eq!(store.merge("a", 2, &saved(2)), Ok(Replaced::Taken));
    let path = hub.path.join(ORIGINS).join("a/saved.d/0000000000000002.sgs");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let sent = super::read_saved(&hub.path, "a").unwrap().expect("the one before");
    assert_eq!((sent.revision, sent.damaged.is_some()), (1, true));
    assert_eq!(store.merge("a", 2, &saved(2)), Ok(Replaced::Taken), "the same again mends it");
    assert_eq!(super::read_saved(&hub.path, "a").unwrap().expect("a state").revision, 2);
}

#[test]
fn what_is_no_state_or_would_count_twice_is_refused() {
    let hub = Hub::new("saved-refused");
    assert!(matches!(hub.store.merge("a", 1, &saved(1)), Err(No::NoSource(_))), "nobody judges them");
    let judge = |file: &engine::state::StateFile| match file.pipeline.as_str() {
        "state 13" => Err(No::Another("it measures something else".into())),
        _ => Ok(()),
    };
    let store = store(&hub.path, OriginLimits::default()).with_saved(Box::new(judge));
    let mut damaged = saved(1);
    damaged.truncate(damaged.len() - 1);
    for (bytes, part) in
        [(&b"nonsense"[..], "no state file"), (&damaged, "damaged"), (&saved(13), "something else")]
    {
        let no = store.merge("a", 1, bytes).unwrap_err();
        assert!(no.to_string().contains(part), "{no}");
    }
    assert!(matches!(store.merge("../a", 1, &saved(1)), Err(No::Bad(_))));
    assert!(super::saved_names(&hub.path).is_empty(), "nothing is kept of them");
    // One name, one way.
    let mut site = Stream::new("saved-refused-site");
    site.block(0, 100);
    site.commit();
    push(&site.path, &mut Network::quiet(&store)).unwrap();
    let no = store.merge("a", 1, &saved(1)).unwrap_err();
    assert!(no.to_string().contains("pushes its commits"), "{no}");
    assert_eq!(store.merge("b", 1, &saved(1)), Ok(Replaced::Taken));
}
