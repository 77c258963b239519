//! Campaigns that simulate.
mod check;
mod dice;
mod disk;
mod life;
mod oracle;
mod scene;

use life::World;
use oracle::Oracle;
use scene::Scene;

fn one(seed: u64) -> Result<(life::Way, u64), String> {
    let scene = Scene::of(seed, false);
    let (troubled, way) = World::new(&scene, true).play()?;
    let (quiet, _) = World::new(&scene, false).play().map_err(|why| format!("undisturbed: {why}"))?;
    let mut oracle = Oracle::new(scene.sources[0].time.clone());
    scene.pieces.iter().for_each(|piece| oracle.read(piece));
    let counts = oracle.end();
    check::counters(&quiet, &counts).map_err(|why| format!("undisturbed: {why}"))?;
    let checked = check::answers(&scene, &quiet, &counts).map_err(|why| format!("undisturbed: {why}"))?;
    check::same(&scene, &troubled, &quiet)?;
    Ok((way, checked))
}

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    if args.len() > 2 {
        let scene = Scene::of(args[0], false);
        eprintln!("{:#?}", scene.sources);
        eprintln!(
            "ends {:?} shards {} memory {} every {} exact {} sinks {:?} pieces {}",
            scene.ends,
            scene.shards,
            scene.memory_bytes,
            scene.every_ms,
            scene.is_exact,
            scene.sinks,
            scene.pieces.len()
        );
        if let (Ok((a, way)), Ok((b, _))) =
            (World::new(&scene, true).play(), World::new(&scene, false).play())
        {
            eprintln!("{way:?}");
            let d = (0..a.state.len().min(b.state.len())).find(|&i| a.state[i] != b.state[i]);
            eprintln!("len {} {} first diff {d:?}", a.state.len(), b.state.len());
            if let Some(d) = d {
                eprintln!(
                    "{:?}\n{:?}",
                    &a.state[d.saturating_sub(8)..(d + 40).min(a.state.len())],
                    &b.state[d.saturating_sub(8)..(d + 40).min(b.state.len())]
                );
            }
            eprintln!("tally {:?}\n      {:?}", a.tally, b.tally);
            eprintln!("Q {} {}", a.quarantine.len(), b.quarantine.len());
            let (x, y) = (
                String::from_utf8_lossy(&a.quarantine).into_owned(),
                String::from_utf8_lossy(&b.quarantine).into_owned(),
            );
            if let Some((p, q)) = x.lines().zip(y.lines()).find(|(p, q)| p != q) {
                eprintln!("{p}\n{q}");
            }
        }
        println!("{:?}", one(args[0]));
        return;
    }
    let mut failures = 0;
    let mut sum = [0u64; 4];
    for seed in args[0]..args[0] + args[1] {
        match std::panic::catch_unwind(|| one(seed)).unwrap_or_else(|_| Err("panic".into())) {
            Err(why) => {
                failures += 1;
                if failures < 60 {
                    println!("seed {seed}: {}", &why[..why.len().min(600)]);
                }
            }
            Ok((way, checked)) => {
                sum[0] += way.lives;
                sum[1] += way.commits;
                sum[2] += checked;
                sum[3] += way.fell_back;
            }
        }
    }
    println!("{failures} failures; lives commits checked fell_back {sum:?}");
}
