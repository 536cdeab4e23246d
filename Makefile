# One line each: what is done stands in ci/, for people and for CI alike.
.PHONY: help demo test check bench sanitize fuzz
help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' Makefile
demo:  ## set this machine up, then live the whole life of a key; leaves out/demo
	@ci/bootstrap && ci/demo
test:  ## set this machine up, then run every test; leaves out/test
	@ci/bootstrap && ci/test
check:  ## set this machine up, then style, types, layers and C warnings
	@ci/bootstrap && ci/check
bench:  ## set this machine up, then measure against SoftHSM2
	@ci/bootstrap && ci/bench
sanitize:  ## set this machine up, then the module's tests under the sanitizers
	@ci/bootstrap && ci/sanitize
fuzz:  ## set this machine up, then look for inputs that break a decoder; leaves out/fuzz
	@ci/bootstrap && ci/fuzz
