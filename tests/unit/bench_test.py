#!/usr/bin/env python3
"""What bench/ concludes from what it measured: statistics, pairs, verdicts, baselines, summaries."""

import json
import os
import sys
import tempfile
import types
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.dont_write_bytecode = True

import bench  # noqa: E402
from lib import baseline, bulk, plots, process, report, stats  # noqa: E402
from lib.process import Failed  # noqa: E402
from lib.rows import CEILING_ROWS, GOALS, ROWS, STANDARD  # noqa: E402
from lib.runner import COMPARED, Runner  # noqa: E402
from lib.systems import HERE, all_systems  # noqa: E402


def row_of(name):
    return next(row for row in ROWS if row.name == name)


def result_of(samples, key="gbit_s", ours="qmux-uring", better="higher"):
    return {"title": "A row", "unit": "", "key": key, "better": better, "ours": ours, "path": "lo",
            "samples": samples, "ratios": {}, "verdicts": [], "notes": {}, "dropped": 0}  # fmt: skip


class Fake(Runner):
    """Measures nothing: each measurement takes the next of its words."""

    def __init__(self, rounds=7, keep=False, quick=False):
        self.options = types.SimpleNamespace(rounds=rounds, keep_disturbed=keep, quick=quick)
        self.order, self.given = [], {}

    def once(self, row, name):
        self.order.append(name)
        given = self.given.get(name, [])
        sample = given.pop(0) if given else {"gbit_s": 1.0}
        if isinstance(sample, Failed):
            raise sample
        return sample


class Statistics(unittest.TestCase):
    def test_the_same_values_have_the_same_interval_and_it_holds_their_median(self):
        values = [1.0, 1.1, 0.9, 1.3, 1.05, 0.97, 1.2]
        low, high = stats.interval(values)
        self.assertEqual((low, high), stats.interval(values))
        self.assertTrue(0.9 <= low <= stats.median(values) <= high <= 1.3)

    def test_values_that_agree_have_no_interval(self):
        self.assertEqual(stats.interval([2.0] * 7), (2.0, 2.0))
        self.assertEqual(stats.interval([2.0]), (2.0, 2.0))

    def test_ratios_are_taken_pair_by_pair(self):
        self.assertEqual(stats.ratios([2, 6, 5], [1, 2, 0]), [2, 3])

    def test_at_least_allows_for_noise_in_the_median_and_in_the_interval(self):
        self.assertTrue(stats.at_least([0.97] * 7, 1.0))
        self.assertFalse(stats.at_least([0.96] * 7, 1.0))
        self.assertFalse(stats.at_least([0.5, 0.5, 0.5, 1.1, 1.1, 1.1, 1.1], 1.0))

    def test_at_most_allows_as_much_on_the_other_side(self):
        self.assertTrue(stats.at_most([1.03] * 7, 1.0))
        self.assertFalse(stats.at_most([1.04] * 7, 1.0))
        self.assertFalse(stats.at_most([0.9, 0.9, 0.9, 0.9, 2, 2, 2], 1.0))


class Pairs(unittest.TestCase):
    def test_systems_take_turns_forth_and_back(self):
        fake = Fake(rounds=4)
        fake.pairs(row_of("tunnel-tcp-up"), ["qmux-uring", "qmux"], {})
        self.assertEqual(fake.order, ["qmux-uring", "qmux", "qmux", "qmux-uring"] * 2)

    def test_a_disturbed_round_is_dropped_for_all_and_repeated(self):
        fake = Fake(rounds=2)
        fake.given["qmux"] = [{"gbit_s": 9.0, "steal": 0.5}]
        samples, dropped = fake.pairs(row_of("tunnel-tcp-up"), ["qmux-uring", "qmux"], {})
        self.assertEqual(dropped, 1)
        self.assertEqual([len(got) for got in samples.values()], [2, 2])
        self.assertNotIn(9.0, [sample["gbit_s"] for sample in samples["qmux"]])

    def test_a_machine_that_is_always_disturbed_gives_up_after_half_as_many_again(self):
        fake = Fake(rounds=4)
        fake.given["qmux-uring"] = [{"gbit_s": 1.0, "foreign": 0.5}] * 100
        samples, dropped = fake.pairs(row_of("tunnel-tcp-up"), ["qmux-uring"], {})
        self.assertEqual((samples, dropped), ({}, 6))

    def test_a_peer_that_fails_is_left_out_with_the_reason(self):
        fake, notes = Fake(rounds=3), {}
        fake.given["qmux"] = [{"gbit_s": 1.0}, Failed("it ended")]
        samples, _ = fake.pairs(row_of("tunnel-tcp-up"), ["qmux-uring", "qmux"], notes)
        self.assertEqual(len(samples["qmux-uring"]), 3)
        self.assertEqual(notes, {"qmux": "not measured: it ended"})


class Verdicts(unittest.TestCase):
    def judged(self, name, samples, quick=False):
        row = row_of(name)
        result = result_of(samples, row.key, row.ours)
        Fake(quick=quick).compare(row, result)
        return {verdict["words"].split(":")[0]: verdict for verdict in result["verdicts"]}

    def test_seven_pairs_are_needed(self):
        for pairs, holds in ((6, None), (7, True)):
            samples = {"qmux-uring": [{"gbit_s": 4.0}] * pairs, "qmux": [{"gbit_s": 1.0}] * pairs}
            verdict = self.judged("tunnel-tcp-up", samples)["gbit_s at least 3.0 of qmux"]
            self.assertIs(verdict["holds"], holds)

    def test_a_quick_run_judges_nothing(self):
        samples = {"qmux-uring": [{"gbit_s": 4.0}] * 7, "qmux": [{"gbit_s": 1.0}] * 7}
        verdict = self.judged("tunnel-tcp-up", samples, quick=True)["gbit_s at least 3.0 of qmux"]
        self.assertIsNone(verdict["holds"])

    def test_what_costs_too_much_fails(self):
        ours, theirs = [{"cpu_us_each": 8.0}] * 7, [{"cpu_us_each": 10.0}] * 7
        samples = {"qmux-uring-direct": ours, "haproxy": theirs}
        words = "cpu_us_each at most 0.7 of haproxy"
        self.assertIs(self.judged("direct-connections", samples)[words]["holds"], False)

    def test_a_loss_that_the_machine_has_by_itself_is_nobodys(self):
        ours = [{"lost_percent": 1.0}] * 7
        for alone, holds in ((0.5, None), (0.0, False)):
            samples = {"qmux-uring": ours, "direct": [{"lost_percent": alone}] * 7}
            verdict = self.judged("tunnel-udp-loss", samples)["lost_percent at most 0.01"]
            self.assertIs(verdict["holds"], holds)

    def test_the_share_of_the_ceiling_is_judged_on_the_loopback(self):
        for path, ceiling, holds in (("lo", 12, True), ("lo", 20, False), ("veth1500", 12, None)):
            result = result_of({"qmux-uring": [{"gbit_s": 10.0}] * 7}) | {"path": path}
            Fake().judge_ceiling({CEILING_ROWS[0]: result}, ceiling)
            got = [verdict["holds"] for verdict in result["verdicts"]]
            self.assertEqual(got, [] if holds is None else [holds])


class Baselines(unittest.TestCase):
    machine = {"kernel": "6", "cpu": "a", "cores": 2}

    def compared(self, then, now, machine=None, key="gbit_s", better="higher"):
        def results(values, where):
            samples = {"qmux-uring": [{key: value} for value in values]}
            return {"machine": where, "rows": {"a-row": result_of(samples, key, better=better)}}

        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(results(then, self.machine), file)
            file.flush()
            return baseline.compare(results(now, machine or self.machine), file.name, 0.1)

    def test_what_got_worse_past_the_threshold_fails(self):
        self.assertTrue(self.compared([10.0] * 3, [8.0] * 3)[1])
        self.assertTrue(self.compared([10.0] * 3, [12.0] * 3, key="bytes_each", better="lower")[1])

    def test_what_got_better_or_hardly_worse_does_not(self):
        for now in (9.5, 10.0, 20.0):
            self.assertFalse(self.compared([10.0] * 3, [now] * 3)[1])

    def test_noise_about_the_old_figure_does_not(self):
        self.assertFalse(self.compared([10.0] * 3, [8.0, 8.0, 11.0])[1])

    def test_another_machine_is_not_compared(self):
        lines, failed = self.compared([10.0] * 3, [10.0] * 3, self.machine | {"cores": 4})
        self.assertTrue(failed)
        self.assertIn("not comparable: cores", lines[0])


class Datagrams(unittest.TestCase):
    @staticmethod
    def counted(sent, lost, arrived):
        end = {"sum": {"packets": sent, "lost_packets": lost}, "sum_received": {"bytes": arrived * 512}}
        return bulk.udp_counts(end, 512, 1)

    def test_gaps_are_losses(self):
        self.assertEqual(self.counted(1000, 50, 950), (1000, 50, 950))

    def test_what_never_came_after_the_last_gap_is_lost_too(self):
        self.assertEqual(self.counted(1000, 0, 0), (1000, 1000, 0))

    def test_what_was_under_way_at_the_end_is_not(self):
        self.assertEqual(self.counted(1000, 0, 995), (1000, 0, 1000))

    @staticmethod
    def searched(capacity, spoiled=0):
        """The rates that were tried of a path with this capacity, and the highest that was found."""
        tried = []

        def attempt(rate):
            tried.append(rate)
            lost = 5.0 if rate > capacity or len(tried) <= spoiled else 0.0
            return lost, rate * 100, rate

        return tried, bulk.highest(attempt)[0]

    def test_the_highest_rate_is_found_between_the_last_good_and_the_first_bad(self):
        self.assertEqual(self.searched(330), ([50, 100, 200, 400, 300, 350, 325], 325))

    def test_a_path_that_is_slower_than_the_first_rate_is_searched_downwards(self):
        self.assertEqual(self.searched(8), ([50, 50, 25, 12.5, 6.25, 9.375, 7.8125, 8.59375], 7.8125))
        self.assertEqual(self.searched(0)[1], 0)

    def test_a_path_may_need_one_try_to_settle(self):
        self.assertEqual(self.searched(330, spoiled=1)[1], 325)

    def test_a_sender_at_its_end_ends_the_search(self):
        self.assertEqual(bulk.highest(lambda rate: (0.0, 1, min(rate, 500)))[0], 800)


class Tables(unittest.TestCase):
    """Rows, goals, plots and peers name each other: all that is named is there."""

    def test_every_goal_can_be_judged(self):
        for name, figure, peer, way, _ in GOALS:
            row = row_of(name)
            self.assertIn(way, stats.WAYS)
            if peer:
                self.assertIn(peer, row.peers, name)
                self.assertIn(figure, COMPARED, name)
            self.assertEqual(way.endswith("least"), figure in ("gbit_s", "per_s", "packets_per_s"))

    def test_every_row_has_its_systems_and_every_system_its_files(self):
        systems = all_systems()
        for row in ROWS:
            for name in [row.ours, *row.peers]:
                self.assertIn(name, systems, row.name)
        wanted = {template for system in systems.values() for _, _, template, _ in system.parts}
        there = set(os.listdir(os.path.join(HERE, "peers")))
        self.assertEqual(wanted | {"origin.conf"}, there)

    def test_every_plot_draws_rows_that_exist(self):
        names = {row.name for row in ROWS}
        drawn = {row for _, _, wanted in plots.BARS.values() for row in wanted}
        drawn |= {row for _, wanted, _ in plots.SCALING.values() for row in wanted.values()}
        self.assertEqual((drawn | set(plots.LATENCIES) | set(plots.PERCENTILES)) - names, set())

    def test_eight_rows_are_the_standard_matrix(self):
        self.assertEqual(len(STANDARD), 8)

    def chosen(self, only):
        options = types.SimpleNamespace(only=only, full=False)
        rows, stages = bench.chosen_rows(options)
        return [row.name for row in rows], stages

    def test_a_rows_own_name_chooses_it_alone_and_a_beginning_all_that_begin_so(self):
        self.assertEqual(self.chosen("tunnel-udp,stages"), (["tunnel-udp"], True))
        self.assertEqual(len(self.chosen("workers")[0]), 5)
        with self.assertRaises(SystemExit):
            self.chosen("tunel")


class Summaries(unittest.TestCase):
    def test_three_digits_count(self):
        words = [report.figure(value) for value in (0, 0.1234, 1.234, 12.34, 123.4, 1234.5)]
        self.assertEqual(words, ["0", "0.123", "1.23", "12.3", "123", "1,234"])

    def test_a_summary_says_what_was_measured_and_why_the_rest_was_not(self):
        row = result_of({"qmux-uring": [{"gbit_s": 4.0}]})
        row["notes"]["qmux"] = "not measured: no binary of qmux\nmore"
        results = {"machine": {"date": "today", "version": "1"}, "command": "", "dropped_rounds": 0,
                   "kept_disturbed": 0, "rows": {"a-row": row}}  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            report.write(results, folder)
            with open(os.path.join(folder, "summary.md")) as file:
                text = file.read()
        self.assertIn("| **qmux-uring** | 4.00 [4.00, 4.00] |", text)
        self.assertIn("- qmux: not measured: no binary of qmux\n", text)

    def test_what_fails_is_named_first(self):
        verdicts = [{"words": word, "why": "", "holds": holds} for word, holds in
                    (("a", True), ("b", None), ("c", False))]  # fmt: skip
        text = report.verdict_section({"a-row": {"verdicts": verdicts}})
        self.assertIn("1 hold, 1 fail, 1 are open.", text)
        self.assertLess(text.index("| c |"), text.index("| b |"))

    def test_a_tail_starts_at_all_and_ends_below_one_of_all(self):
        points = plots.tail([{"h": [[10, 1], [20, 2]]}, {"h": [[20, 1]]}], "h")
        self.assertEqual(points, [(10, 0.75), (20, 0.125)])

    def test_the_kernels_table_gives_ports_and_states(self):
        lines = ["  sl  local_address rem_address   st", "   0: 0100007F:1B58 00000000:0000 0A 0:0 0"]
        self.assertEqual(list(process.sockets(lines)), [(7000, "0A")])


if __name__ == "__main__":
    unittest.main(buffer=True)
