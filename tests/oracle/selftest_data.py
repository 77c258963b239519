"""The published exact figures of the real data, and the examples. Run by selftest.py."""

import sys

import pipeline as pipelines
from trial import DATA, EXAMPLES, Folder


class Published(Folder):
    """The exact figures published with the data, reproduced from the files."""

    def compute(self, name, text, metrics, every=None, panes="1m:2d"):
        if not (DATA / name).exists():
            print(f"\nSKIPPED: {self.id()}: no {name} (set STREAMGAUGE_DATA)", file=sys.stderr)
            self.skipTest(f"no {name}")
        toml = f'panes = ["{panes}"]\n[source.s]\npath = "{(DATA / name).as_posix()}"\n{text}\n[metric]\n'
        answers = self.answers(toml + "\n".join(f'{key} = {metrics[key]}' for key in metrics), every)
        self.found = answers.cells
        self.counters = {reason: n for (_, reason), n in answers.counters.items() if n}
        return lambda metric, *by: answers.cells[metric, tuple(by), None, None]

    def quantiles(self, cell):
        return [cell.quantile(q) for q in cell.metric.qs]

    def test_nasa(self):
        at = self.compute(
            "nasa_http_19950801_10k.tsv.gz", 'time = { field = "time", unit = "s" }\nnull = ["-"]', {
                "n": '{ measure = "count()", by = ["response"] }', "hosts": '"unique(host)"',
                "urls": '"unique(url)"', "size": '"quantiles(bytes, 0.5, 0.95, 0.99)"'})
        self.assertEqual((at("hosts").value(), at("urls").value()), (853, 1323))
        for response, count in {"200": 9046, "302": 136, "304": 688, "403": 1, "404": 128}.items():
            self.assertEqual(at("n", ("response", response)).value(), count)
        self.assertEqual(self.quantiles(at("size")), [3635, 79088, 283389])
        self.assertEqual(self.counters, {"read": 9999, "accepted": 9999, "on_time": 9999})

    def test_wikipedia(self):
        time = 'time = { field = "time", ahead = "1h", lateness = "2s" }'
        at = self.compute("wikipedia_edits_39k.ndjson.gz", time + '\nfields = { added = "int64" }', {
            "users": '"unique(user)"', "pages": '"unique(page)"', "channels": '"unique(channel)"',
            "robots": '{ measure = "count()", by = ["isRobot"] }', "top": '"top(user, 3)"',
            "nameless": '{ measure = "count()", by = ["isAnonymous"] }', "sum": '"sum(added)"',
            "added": '"quantiles(added, 0.5, 0.95, 0.99)"', "n": '"count()"'})
        self.assertEqual([at(name).value() for name in ("n", "users", "pages", "channels", "sum")],
                         [39_244, 10_531, 35_143, 51, 9_385_573])
        self.assertEqual(at("robots", ("isRobot", "true")).value(), 15_420)
        self.assertEqual(at("nameless", ("isAnonymous", "true")).value(), 3_799)
        self.assertEqual(at("top").weights.most_common(3),
                         [("TuanminhBot", 3385), ("ThitxongkhoiAWB", 2036), ("TuanUt-Bot!", 1792)])
        self.assertEqual(self.quantiles(at("added")), [18, 934, 3813])
        self.counters.pop("too_late", None)  # how far back a late edit may reach is the ladder's affair
        self.assertEqual(self.counters, {"read": 39_244, "accepted": 39_244, "on_time": 39_199, "late": 4,
                                         "ahead": 41})

    def test_wikipedia_without_a_bound_is_poisoned(self):
        self.compute("wikipedia_edits_39k.ndjson.gz", 'time = { field = "time" }', {"n": '"count()"'})
        self.assertGreaterEqual(self.counters["late"], 39_199)

    def test_github(self):
        at = self.compute("github_events_2015-01-01-01h.ndjson.gz", 'time = { field = "created_at" }', {
            "actors": '"unique(actor.login)"', "repos": '"unique(repo.name)"', "ids": '"unique(id)"',
            "types": '"freq(type)"', "top": '"top(actor.login)"'})
        self.assertEqual([at(name).value() for name in ("actors", "repos", "ids")], [3416, 3832, 7427])
        self.assertEqual(at("types").weights.most_common(2), [("PushEvent", 4150), ("CreateEvent", 727)])
        self.assertEqual(at("top").weights.most_common(1), [("gyuho", 103)])

    def test_nycflights(self):
        at = self.compute("nycflights13_337k.csv.zst", 'time = { field = "time_hour" }\nnull = ["NA"]', {
            "planes": '"unique(tailnum)"', "often": '"freq(tailnum)"', "top": '"top(dest)"',
            "dests": '"unique(dest)"', "delay": '"quantiles(dep_delay, 0.5, 0.95, 0.99)"'})
        self.assertEqual((at("planes").value(), at("dests").value()), (4044, 105))
        self.assertEqual(at("often").weights["NA"], 2512)
        self.assertEqual(at("top").weights.most_common(3), [("ORD", 17283), ("ATL", 17215), ("LAX", 16174)])
        self.assertEqual(len(at("delay").values), 328_521)
        self.assertEqual(self.quantiles(at("delay")), [-2, 88, 191])
        self.assertEqual(self.counters["accepted"], 336_776)

    def test_openbandit(self):
        features = ", ".join(f'"user_feature_{i}"' for i in range(4))
        at = self.compute("openbandit_random_men_10k.csv.gz", 'time = { field = "timestamp" }', {
            "items": '"unique(item_id)"', "clicks": '"sum(click)"', "top": '"top(item_id)"',
            "tuples": f'{{ measure = "count()", by = [{features}] }}'})
        tuples = [key for key in self.found if key[0] == "tuples"]
        self.assertEqual((at("items").value(), at("clicks").value(), len(tuples)), (34, 46, 230))
        self.assertEqual(at("top").weights.most_common(1), [("11", 345)])


    def test_apache(self):
        keys = ('format = "FORMAT"\ntime = { field = "time", lateness = "60s" }\n'
                'fields = { bytes = "int64", status = "int64" }')
        metrics = {
            "hosts": '"unique(host)"', "paths": '"unique(path)"', "top": '"top(host)"', "urls": '"top(path)"',
            "status": '{ measure = "count()", by = ["status"] }', "sum": '"sum(bytes)"',
            "sized": '"count() filter (where bytes is not null)"', "bad": '"count() filter (where status >= 400)"',
            "size": '"quantiles(bytes, 0.5, 0.95, 0.99)"'}
        at = self.compute("web_apache_combined_10k.log.gz", keys.replace("FORMAT", "clf"), metrics)
        self.assertEqual([at(name).value() for name in ("hosts", "paths", "sum", "sized", "bad")],
                         [1753, 1498, 2_747_282_740, 9331, 220])
        self.assertEqual(at("top").weights.most_common(1), [("66.249.73.135", 482)])
        self.assertEqual(at("urls").weights.most_common(1), [("/favicon.ico", 807)])
        status = {200: 9126, 206: 45, 301: 164, 304: 445, 403: 2, 404: 213, 416: 2, 500: 3}
        self.assertEqual({key[1][0][1]: cell.count for key, cell in self.found.items() if key[0] == "status"}, status)
        self.assertEqual(self.quantiles(at("size")), [12_292, 171_717, 1_199_558])
        self.assertEqual(self.counters, {"read": 10_000, "accepted": 10_000, "on_time": 10_000})
        # Line 8,899 ends inside the quotes of its user agent, which takes what is there.
        at = self.compute("web_apache_combined_10k.log.gz", keys.replace("FORMAT", "combined"), metrics)
        self.assertEqual((at("sum").value(), at("sized").value()), (2_747_282_740, 9331))
        self.assertEqual(self.counters, {"read": 10_000, "accepted": 10_000, "on_time": 10_000})

    def test_kdd(self):
        names = ", ".join(f'"c{i}"' for i in range(41))
        keys = f'header = false\ncolumns = [{names}, "label"]\ntime = {{ row = "1s" }}'
        at = self.compute("kddcup99_corrected_311k.csv.gz", keys, {
            "labels": '"freq(label)"', "kinds": '"unique(label)"', "services": '"unique(c2)"', "most": '"max(c4)"',
            "size": '"quantiles(c4, 0.5, 0.99)"', "attacks": '"count() filter (where label <> \'normal.\')"'})
        self.assertEqual([at(name).value() for name in ("kinds", "services", "most", "attacks")],
                         [38, 65, 62_825_648, 311_029 - 60_593])
        self.assertEqual(at("labels").weights.most_common(3),
                         [("smurf.", 164_091), ("normal.", 60_593), ("neptune.", 58_001)])
        self.assertEqual(self.quantiles(at("size")), [520, 2651])

    def test_kosarak(self):
        keys = 'format = "lines"\nexplode = { page = "string_to_array(line, \' \')" }'
        at = self.compute("kosarak-5-25.txt.zst", keys, {
            "pages": '"unique(page)"', "top": '"top(page)"', "known": '{ measure = "seen(page)", size = "1M @ 1%", '
            'keep = "forever" }', "new": '"count() filter (where not known)"'})
        self.assertEqual([at(name).value() for name in ("pages", "known", "new")], [2605] * 3)
        weights = at("top").weights
        self.assertEqual(weights.most_common(10), [
            ("6", 254682), ("3", 227315), ("11", 116583), ("1", 78671), ("4", 39048), ("55", 31318), ("2", 15941),
            ("294", 15700), ("7", 13971), ("218", 13384)])
        heavy = [sum(weight >= share * 1_240_384 for weight in weights.values()) for share in (0.01, 0.001)]
        self.assertEqual(heavy, [10, 47])
        self.assertEqual(self.counters, {"read": 1_240_384, "accepted": 1_240_384, "on_time": 1_240_384})

    def test_oltp(self):
        keys = ('format = "csv"\ndelimiter = " "\nheader = false\ncolumns = ["start", "blocks", "x", "y"]\n'
                'fields = { start = "int64" }')
        at = self.compute("oltp_blocks_914k.lis.zst", keys, {
            "blocks": '"audience(start)"', "top": '"top(start, 4, weight => blocks)"',
            "hit": '{ measure = "seen(start)", size = "1M @ 1%", keep = "forever" }',
            "hits": '"count() filter (where hit)"'})
        self.assertEqual([at(name).value() for name in ("blocks", "hit", "hits")],
                         [186_880, 186_880, 914_145 - 186_880])
        self.assertEqual(at("top").weights.most_common(4), [(201, 3100), (200, 3099), (51077, 2634), (51076, 2633)])

    def test_twitter_rate(self):
        keys = ('format = "lines"\nrecord_max = "16MiB"\ntime = { row = "1s" }\n'
                'explode = { item = "string_to_array(trim(line), \' \')" }\nderive = { n = "cast(item as bigint)" }')
        metrics = {"sum": "sum(n)", "most": "max(n)", "rate": "quantiles(n, 0.5, 0.99)"}
        metrics = {name: f'{{ measure = "{measure}", keep = "forever" }}' for name, measure in metrics.items()}
        at = self.compute("twitter_rate_per_second_1.9M.txt.zst", keys, metrics | {"n": '"sum(n)"'}, "1h", "1h:35d")
        self.assertEqual((at("sum").value(), at("most").value()), (120_774_326, 388))
        self.assertEqual(self.quantiles(at("rate")), [53, 245])
        self.assertEqual(self.counters["read"], 1_899_061)
        busiest = max((cell.value(), key[2] // 3600_000_000) for key, cell in self.found.items() if key[0] == "n")
        self.assertEqual(busiest, (633_353, 491))

    def test_sshd(self):
        keys = ('format = "lines"\nderive = { stamp = "concat(\'2017 \', substr(line, 1, 15))" }\n'
                'time = { field = "stamp", pattern = "%Y %b %e %H:%M:%S" }')
        like = '"count() filter (where line like \'%Failed password for %\')"'
        at = self.compute("sshd_auth_7k.log.gz", keys, {"n": '"count()"', "failed": like})
        self.assertEqual((at("n").value(), at("failed").value()), (7121, 713))
        self.assertEqual(self.counters, {"read": 7121, "accepted": 7121, "on_time": 7121})


class Examples(Folder):
    """Every pipeline of the examples is one that the oracle understands in full."""

    def test_examples_are_understood(self):
        paths = sorted(EXAMPLES.glob("*.toml"))
        self.assertTrue(paths)
        for path in paths:
            text = path.read_text()
            self.assertRegex(text, f"(?m)^# streamgauge run --once (--format json )?examples/{path.name}$")
            try:
                pipeline = pipelines.load(path, str(DATA))
            except FileNotFoundError as error:
                print(f"\nSKIPPED: {path.name}: {error} (set STREAMGAUGE_DATA)", file=sys.stderr)
                continue
            for source in pipeline.sources:
                self.assertEqual([metric.unchecked for metric in source.metrics if metric.unchecked], [])
