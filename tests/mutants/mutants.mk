# SPDX-License-Identifier: GPL-2.0
#
# Planted bugs: do the tests see them? Works on its own from the top level,
# `make -f tests/mutants/mutants.mk mutants`, and included by the top Makefile.
#
#   mutants        applies each change of tests/mutants/*.mutants to a copy of the core, and runs unit tests and
#                  simulator until one fails; MUTANTS="words" takes only those with such a name
#   check-mutants  only whether each change still fits the sources

MUTANT_JOBS ?= 2
MUTANTS ?=

.PHONY: mutants check-mutants
mutants:
	tests/mutants/run --jobs $(MUTANT_JOBS) $(MUTANTS)

check-mutants:
	tests/mutants/run --check
