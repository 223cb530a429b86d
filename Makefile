EXTENSION = kbilling
MODULE_big = kbilling

# Where the sources are: here, or where a build out of tree finds them.
SOURCE := $(or $(VPATH),$(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST)))))
OUT_OF_TREE := $(if $(filter $(realpath $(SOURCE)),$(realpath .)),,yes)

EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(SOURCE)/kbilling.control)

# The install script is these parts of sql/install/, joined in this order.
PARTS = schema card money price calendar lines lots access posting provider bill message reminder ahead event shard change policy catalogue \
	account tariff policycache member outbox template journal bonus notice deferral status usage terms discount rating credit charge limit end hold payment name activity \
	closure agreement purge topup allocation correction grant purchase forecast offer standing retention alert session guard batch meter \
	sweep schedule report explain portal metrics move privilege

# The tests in test/sql/ whose output is the thing; the others there are pgTAP.
REGRESS = install quickstart

# What make check, make demo and the like need on top of make: they set it up.
SELF_CONTAINED = check check-long matrix demo demo-shards portal bench bench-quick bench-profile reference deb

ifneq (,$(filter $(SELF_CONTAINED),$(MAKECMDGOALS)))
$(if $(OUT_OF_TREE),$(error make $(MAKECMDGOALS) builds in the folder of the sources: run it there))

LOG := $(firstword $(wildcard $(CURDIR)/../shared/data/cdnow.tsv) $(CURDIR)/examples/cdnow-sample.tsv)
PREPARE = PG_CONFIG=$$(test/setup) && export PG_CONFIG COPT=-Werror && $(MAKE) all && $(MAKE) -C router all && test/install

# Every suite against a throw-away server.
check:
	@$(PREPARE) && exec test/server test/run

# The story of examples/demo.sql, on real purchases.
demo:
	@$(PREPARE) && exec test/server psql -X -v ON_ERROR_STOP=1 -v log='$(LOG)' -f examples/demo.sql

# A part of it, on one server and on three shards behind a router: both come to the same.
demo-shards:
	@$(PREPARE) && exec test/shards test/demo-shards '$(LOG)'

# The billing page of examples/portal, with customers in every stage, until it is stopped.
portal:
	@export NEEDS=portal && $(PREPARE) && exec test/server test/portal demo

# Costs beside those of hand-written SQL and of plpgsql, with charts; then the page's numbers.
BENCH = export NEEDS=bench && $(PREPARE) && FSYNC=on CONF=bench/postgresql.conf test/server bench/run
bench:
	@$(BENCH) && bench/chart && bench/page

# The same in small; it leaves the page alone.
bench-quick:
	@export ROUNDS=3 SECONDS_EACH=1 GROWTH_ROUNDS=0 CASES=2 MOST=10000 RESULTS=bench/quick && $(BENCH)

# Where the instructions go of what docs/performance.md says is bounded.
PROFILES = topup/ours topup/floor access/view access/floor event/ours event/floor meter/ours meter/keyed meter/floor \
	guard/ours guard/by_row guard/floor metrics/ours
bench-profile:
	@export NEEDS=bench && $(PREPARE) && test/server bench/profile $(PROFILES)

# docs/reference.md, from the catalog's comments.
reference:
	@$(PREPARE) >&2 && test/server psql -XAtq -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION kbilling' -f docs/reference.sql > docs/reference.md

# What finds more the longer it runs: an hour and more.
check-long:
	@$(PREPARE) && exec test/long

# Every suite on each server version of Debian's releases, in chroots that are made once.
matrix:
	@exec test/matrix

# Packages for Debian, built and tried in clean chroots.
deb:
	@exec test/deb

$(filter-out $(SELF_CONTAINED),$(MAKECMDGOALS)):
	@$(MAKE) $@

.PHONY: $(MAKECMDGOALS)

else

# Files of a folder of the sources, without the way there.
sources = $(sort $(patsubst $(SOURCE)/%,%,$(wildcard $(SOURCE)/$(1))))

OBJS = $(sort $(patsubst %.c,%.o,$(call sources,src/*.c)) $(patsubst %.cpp,%.o,$(call sources,src/*.cpp)))
# Scripts of versions before this one stay: a dump of such a version is restored into it, and updated.
DATA = $(call sources,sql/upgrade/kbilling--*--*.sql) $(filter-out %/kbilling--$(EXTVERSION).sql,$(call sources,sql/released/kbilling--*.sql))
DATA_built = sql/kbilling--$(EXTVERSION).sql
DEPENDENCIES = $(OBJS:.o=.d) $(OBJS:.o=.bc.d)
EXTRA_CLEAN = .built-for .linked-from $(DEPENDENCIES)

# An empty library would link.
$(if $(OBJS),,$(error there are no sources in $(SOURCE)/src))
$(if $(EXTVERSION),,$(error there is no default_version in $(SOURCE)/kbilling.control))

ISOLATION := $(patsubst test/isolation/specs/%.spec,%,$(call sources,test/isolation/specs/*.spec))
PGTAP := $(filter-out $(REGRESS:%=test/sql/%.sql),$(call sources,test/sql/*.sql))

# What both expect is in expected/, so a name belongs to one of them.
REGRESS_OPTS = --inputdir=test --outputdir='$(CURDIR)'
ISOLATION_OPTS = --inputdir=test/isolation --outputdir='$(CURDIR)'
$(if $(filter $(REGRESS),$(ISOLATION)),$(error in REGRESS and test/isolation both: $(filter $(REGRESS),$(ISOLATION))))

# PostgreSQL 15 looks for that where it writes its output.
ifdef OUT_OF_TREE
REGRESS_PREP = expected
EXTRA_CLEAN += expected
endif

# PostgreSQL's inline functions and every PG_FUNCTION_ARGS leave parameters unused.
WARNINGS = -Wall -Wextra -Wno-unused-parameter

# With the prefixes mapped, the same source gives the same bytes in whatever folder.
MAPPED = '-ffile-prefix-map=$(CURDIR)=.' '-ffile-prefix-map=$(SOURCE)/src/=src/'

# Each object says which headers it depends on.
PG_CFLAGS = -std=gnu11 $(WARNINGS) $(MAPPED) -MMD -MP

# C++ is for ICU alone: nothing throws, and its symbols stay in the library.
CXX_ONLY = -std=c++17 -fno-exceptions -fvisibility=hidden -fvisibility-inlines-hidden $(WARNINGS) $(COPT)
PG_CXXFLAGS = $(CXX_ONLY) $(MAPPED) -MMD -MP
PG_CPPFLAGS = -DKBILLING_VERSION='"$(EXTVERSION)"' $(shell pkg-config --cflags-only-I icu-i18n icu-uc 2>/dev/null)
SHLIB_LINK = $(or $(shell pkg-config --libs icu-i18n icu-uc 2>/dev/null),-licui18n -licuuc) -lstdc++

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

# A server built with LLVM wants bitcode too; where its clang is missing, do without.
ifeq (,$(shell command -v $(or $(CLANG),$$(sed -n 's/^CLANG *= *//p' $(dir $(PGXS))../Makefile.global))))
override with_llvm := no
endif

override srcdir := $(SOURCE)
include $(PGXS)

# Only sources are looked for out of tree: what was built there belongs to another build.
override VPATH :=
vpath %.c $(SOURCE)
vpath %.cpp $(SOURCE)
vpath %.control $(SOURCE)

# PostgreSQL loads libraries with their symbols in common: let ours mean ours.
ifeq ($(PORTNAME),linux)
SHLIB_LINK += -Wl,-Bsymbolic
endif

# The bitcode is clang's view of the source: let it warn as well.
BITCODE_CFLAGS += $(WARNINGS) $(COPT) -MMD -MP -MF $(@:.bc=.bc.d)
BITCODE_CXXFLAGS += $(CXX_ONLY) -MMD -MP -MF $(@:.bc=.bc.d)

-include $(DEPENDENCIES)

# Objects are stale, too, when the server or the flags change: then this file is written anew.
built_for := $(filter-out -Werror,$(CC) $(CFLAGS) $(CXX) $(CXXFLAGS) $(CPPFLAGS))
ifneq ($(built_for),$(file < .built-for))
$(file > .built-for,$(built_for))
endif

$(OBJS) $(OBJS:.o=.bc): .built-for | src

# The library is stale, too, when a source is gone.
ifneq ($(OBJS),$(file < .linked-from))
$(file > .linked-from,$(OBJS))
endif

$(shlib): .linked-from

src:
	mkdir -p $@

# Bitcode of another build must not stand beside the library: the server would take functions from it.
ifneq ($(with_llvm),yes)
install: uninstall-bitcode
uninstall-bitcode:
	$(call uninstall_llvm_module,$(MODULE_big))
endif

# The script is ASCII, so that databases of every encoding take it: in calls of kb_utf8, bytes beyond it become \ooo.
AS_ASCII = perl -C0 -0777 -pe 's/\bkb_utf8\(\K\x27(?:[^\x27]+|\x27\x27)*/$$& =~ s|[^\x00-\x7f]|sprintf "\\%03o", ord $$&|ger/ge; \
	die "sql/install: \"$$&\" is beyond ASCII, and in no call of kb_utf8\n" if /[^\x00-\x7f].*/'

part_files := $(PARTS:%=$(SOURCE)/sql/install/%.sql)

sql/kbilling--$(EXTVERSION).sql: $(part_files) $(SOURCE)/Makefile $(SOURCE)/kbilling.control
	$(if $(filter-out $(part_files),$(wildcard $(SOURCE)/sql/install/*.sql)),$(error sql/install has a part that PARTS does not list))
	mkdir -p $(@D)
	printf '%s\n' '\echo Use "CREATE EXTENSION kbilling" to load this file. \quit' \
		'SET LOCAL search_path TO pg_catalog, pg_temp;' | cat - $(part_files) | $(AS_ASCII) > $@

# What this version installs, kept for good: see "How to release a version" in CONTRIBUTING.md.
released: sql/kbilling--$(EXTVERSION).sql
	mkdir -p sql/released
	cp sql/kbilling--$(EXTVERSION).sql sql/released/

.PHONY: released

expected:
	ln -s $(realpath $(SOURCE))/expected $@

# Tests read files of the sources, and write where the build is.
pg_regress_installcheck := cd '$(SOURCE)' && $(pg_regress_installcheck)
pg_isolation_regress_installcheck := cd '$(SOURCE)' && $(pg_isolation_regress_installcheck)

# What is tested is what was built, if anything was built here. A package, built out of tree, has its own way to see to that.
installcheck: pgtap
installcheck pgtap: installed
installed:
	@[ -n "$(OUT_OF_TREE)" ] || [ ! -e $(shlib) ] || { \
		$(MAKE) -q $(shlib) $(DATA_built) && cmp -s $(shlib) '$(DESTDIR)$(pkglibdir)/$(shlib)' && \
		cmp -s $(DATA_built) '$(DESTDIR)$(datadir)/extension/$(notdir $(DATA_built))'; } || { \
		echo "what is here is not what is installed: run 'make && make install' first, or 'test/dev TEST'" >&2; exit 1; }

# One pgTAP file: make pgtap PGTAP=test/sql/money.sql
pgtap: installed
ifneq (,$(PGTAP))
ifneq (,$(wildcard $(datadir)/extension/pgtap.control))
	cd '$(SOURCE)' && PATH="$(bindir):$$PATH" prove -j2 --failures --comments --exec test/pgtap $(PGTAP)
else
	@echo "pgTAP is not installed: its tests were not run"
endif
endif

# For test/dev.
names-of-regress:
	@echo $(REGRESS)

# What goes to PGXN: a zip of what is committed, which builds.
dist:
	@test/dist $(EXTENSION)-$(EXTVERSION)

.PHONY: installed uninstall-bitcode pgtap names-of-regress dist

endif
