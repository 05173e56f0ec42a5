#!/usr/bin/python3
"""What watches a daemon, for real: promtool on its metrics and on the rules that are shipped, a Prometheus that scrapes it and
an alert that fires when Redis is gone, the dashboard's names, and the exporter for Redis at the workers' socket.

    test.py --programs .build/release
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "examples/testing"))
import stage as staging  # noqa: E402

ALERT = "TokencachedRedisDown"


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def is_served(url):
    try:
        return bool(get(url))
    except OSError:
        return False


def promtool(*words, text=None):
    done = subprocess.run(["promtool", *words], input=text, capture_output=True, text=True)
    # Lint of metrics is told on standard error with status 3.
    if done.returncode != 0 or "error" in done.stderr.lower():
        raise staging.Failed(f"promtool {' '.join(words)}: {done.stdout}{done.stderr}")


def names_used():
    """Every metric that the rules and the dashboard speak of."""
    text = (root / "conf/prometheus/alerts.yml").read_text() + (root / "conf/grafana/tokencached.json").read_text()
    return set(re.findall(r"\b(?:tokencached|process)_[a-z0-9_]+\b", text)) - {"tokencached"}


def visit_a_little(stage):
    """Something of everything, so that each metric has a value."""
    token = staging.ask_fields(stage.socket, "TOKEN.ISSUE", "SUBJECT", "ann")["sessiontoken"]
    for _ in range(20):
        staging.ask(stage.socket, "TOKEN.VALIDATE", token)
    staging.ask(stage.socket, "TOKEN.VISIT", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    options = parser.parse_args()
    promtool("check", "rules", str(root / "conf/prometheus/alerts.yml"))
    promtool("check", "config", str(root / "conf/prometheus/scrape.yml"))
    promtool("test", "rules", str(root / "Tests/Prometheus/alerts.test.yml"))
    with staging.Stage(options.programs) as stage:
        stage.start_redis()
        port, watcher, exporter = staging.free_port(), staging.free_port(), staging.free_port()
        stage.start_daemon([f"http.listen=127.0.0.1:{port}"])
        visit_a_little(stage)
        promtool("check", "metrics", text=get(f"http://127.0.0.1:{port}/metrics"))
        printed = subprocess.run(
            [f"{options.programs}/tokencachectl", "--socket", stage.socket, "metrics"], capture_output=True, text=True, check=True)
        promtool("check", "metrics", text=printed.stdout)
        print("metrics and rules: promtool finds nothing")

        # Debian's exporter for Redis takes the daemon for a Redis.
        stage.start("exporter", [
            "prometheus-redis-exporter", "-redis.addr", f"unix://{stage.socket}", "-web.listen-address", f"127.0.0.1:{exporter}",
        ], lambda: staging.listens(exporter))
        text = get(f"http://127.0.0.1:{exporter}/metrics")
        if not re.search(r"^redis_up(\{.*\})? 1$", text, re.M) or not re.search(
                r"^redis_exporter_last_scrape_error\{err=\"\"\} 0$", text, re.M):
            lines = [line for line in text.splitlines() if "redis_up" in line or "scrape_error" in line]
            raise staging.Failed(f"the exporter for Redis: {lines}")
        print("prometheus-redis-exporter: up, no error")

        scrape = (root / "conf/prometheus/scrape.yml").read_text().replace("127.0.0.1:9180", f"127.0.0.1:{port}")
        folder = pathlib.Path(stage.folder, "prometheus")
        folder.mkdir()
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{root}/conf/prometheus/alerts.yml']\n" + scrape)
        stage.start("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{watcher}", "--log.level=warn",
        ], lambda: is_served(f"http://127.0.0.1:{watcher}/-/ready"))
        api = f"http://127.0.0.1:{watcher}/api/v1"

        def alerts():
            return {one["labels"]["alertname"]: one["state"] for one in json.loads(get(f"{api}/alerts"))["data"]["alerts"]}

        def is_scraped():
            names = json.loads(get(f"{api}/label/__name__/values"))["data"]
            return "tokencached_build_info" in names
        staging.until(is_scraped, 30, "Prometheus has scraped the daemon")
        known = set(json.loads(get(f"{api}/label/__name__/values"))["data"])
        if missing := names_used() - known:
            raise staging.Failed(f"rules and dashboard speak of metrics that there are not: {sorted(missing)}")
        if "firing" in alerts().values():
            raise staging.Failed(f"an alert fires though nothing is wrong: {alerts()}")
        stage.stop("redis")
        begin = time.monotonic()
        staging.until(lambda: alerts().get(ALERT) == "firing", 60, f"{ALERT} fires")
        print(f"Prometheus: {len(names_used())} metrics of rules and dashboard are there; {ALERT} fired "
              f"{time.monotonic() - begin:.0f} s after Redis was gone")
        stage.start_redis()
        staging.until(lambda: ALERT not in alerts(), 60, f"{ALERT} is over")


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"prometheus: {failure}")
