# A front for Meson. Everything is built below build/ (the tests below build-check/).

MESON ?= meson
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all docs demo check check-long bench bench-page bench-peers fuzz fuzz-coverage install uninstall clean help

all: build/build.ninja
	@ninja -C build

build/build.ninja:
	@tools/need.sh --only-tell build
	@$(MESON) setup build --buildtype=debugoptimized -Dtests=false --prefix=$(PREFIX)

# What building says goes into a file; it is shown where building fails.
demo:
	@tools/need.sh build
	@echo 'building, see build.log …'
	@$(MAKE) --no-print-directory all >build.log 2>&1 || { cat build.log; exit 1; }
	@tools/demo.sh build

check:
	@tools/need.sh build docs check
	@tools/check.sh

check-long:
	@tools/need.sh build docs check check-long
	@tools/check.sh --long

MINUTES ?= 10

fuzz:
	@tools/need.sh build check fuzz
	@tools/fuzz.sh $(MINUTES)

fuzz-coverage:
	@tools/need.sh build check fuzz
	@tools/fuzz.sh --coverage

# Patterns stand in quotes that the shell sees: make bench ROWS="'channel-*'"
bench: build-bench/build.ninja
	@ninja --quiet -C build-bench bench
	@mkdir -p build
	@build-bench/bench/bench --json build/bench.json $(ROWS)

# What the last full run has measured, into docs/benchmarks.md and docs/charts: on a machine where nothing else runs.
bench-page: build-bench/build.ninja
	@tools/need.sh build bench
	@[ -n "$(FORCE)" ] || awk '$$1 >= 0.5 { print "bench-page: the load average is " $$1 ": other programs run; FORCE=1 measures nevertheless"; exit 1 }' /proc/loadavg
	@ninja --quiet -C build-bench bench
	@mkdir -p build
	@build-bench/bench/bench --json build/bench.json $(ROWS) >build/bench.txt || { cat build/bench.txt; exit 1; }
	@python3 bench/page.py build/bench.json build/bench.txt docs

# What is installed later is found only by a new setup.
bench-peers:
	@tools/need.sh build bench
	@rm -rf build-bench

build-bench/build.ninja:
	@tools/need.sh --only-tell build
	@$(MESON) setup build-bench --buildtype=release -Dtests=false

# The reference: build/docs/html, and build/docs/man/man3 with a page for each function.
docs: build/build.ninja
	@tools/need.sh build docs
	@ninja -C build docs

install: all
	@$(MESON) configure build --prefix='$(PREFIX)'
	@MESON=$(MESON) tools/install.sh build '$(PREFIX)' '$(DESTDIR)'

uninstall:
	@tools/install.sh --remove build '$(PREFIX)' '$(DESTDIR)'

clean:
	rm -rf build build.log build-check build-bench build-fuzz build-trace

help:
	@echo 'make             build the library, the tool (build/ferry) and the examples (build/examples)'
	@echo 'make demo        install what is missing, build, and see programs talk'
	@echo 'make check       install what is missing, and run the tests: gcc, and clang with ASan and UBSan'
	@echo 'make check-long  the same with larger numbers, valgrind, a bare Debian, many times over; docs/testing.md'
	@echo 'make fuzz        run the fuzz targets for MINUTES=10 (tests/fuzz/README.md)'
	@echo 'make bench       measure against floors and other libraries; some work: ROWS="lone connect" (docs/benchmarks.md)'
	@echo 'make bench-page  run all of it, and put figures and charts into docs/benchmarks.md'
	@echo 'make bench-peers install those libraries'
	@echo 'make docs        make the reference: build/docs/html, and man pages in build/docs/man'
	@echo 'make install     install to $$PREFIX (/usr/local), below $$DESTDIR'
	@echo 'make uninstall   remove what make install has installed, with the same PREFIX and DESTDIR'
	@echo 'make clean       remove what was built'
