# Everything works from a fresh clone: the first target that needs it runs scripts/bootstrap.sh.
BUILD ?= build/release
.PHONY: build test demo peers bench bench-verify bench-score bench-train soak recipe-dpo fuzz asan fmt lint clean

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja: .venv/.ready
	cmake --preset release -B $(BUILD)

.venv/.ready: scripts/bootstrap.sh requirements.txt
	scripts/bootstrap.sh

.venv-peers/.ready: scripts/bootstrap.sh requirements-peers.txt
	scripts/bootstrap.sh peers

test: build
	scripts/test.sh $(BUILD)

demo: build
	scripts/demo.sh $(BUILD)/merit

# DPO on the demo's verified answers, judged on its held-out problems.
recipe-dpo: build
	scripts/recipe_dpo.sh $(BUILD)/merit

peers: build .venv-peers/.ready
	scripts/peers.sh $(BUILD)

bench: build
	scripts/bench.sh $(BUILD)

bench-score: build .venv-peers/.ready
	MERIT_BUILD=$(BUILD) HF_HUB_OFFLINE=1 .venv-peers/bin/python bench/score/bench_score.py

# DPO here and in TRL on the same pairs. Needs the shared data and 20 GB.
bench-train: build .venv-peers/.ready
	MERIT_BUILD=$(BUILD) HF_HUB_OFFLINE=1 .venv-peers/bin/python bench/train/bench_train.py

soak: build
	MERIT_BUILD=$(BUILD) .venv/bin/python bench/score/soak.py

# merit and Math-Verify on the same answers, then what step checking finds. Needs the shared data.
bench-verify: build .venv-peers/.ready
	OMP_NUM_THREADS=1 .venv-peers/bin/python bench/verify_peer.py $(BUILD)

fuzz: .venv/.ready
	scripts/fuzz.sh

asan: .venv/.ready
	cmake --preset asan
	ninja -C build/asan
	scripts/test.sh build/asan

fmt:
	git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

lint:
	scripts/lint.sh

clean:
	rm -rf build
