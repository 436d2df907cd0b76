# deployc: a compiler for .deploy, in C. `make demo` and `make check` set themselves up on Debian 12.
BUILD       ?= build
ifeq ($(origin CC),default)
CC          := gcc
endif
LLVM_CONFIG ?= llvm-config-19
PYTHON      ?= /usr/bin/python3
FUZZ_SECONDS ?= 300
# `make V=1` prints the commands.
Q           := $(if $(V),,@)
say          = $(if $(V),,@echo "  $(1) $(@:$(BUILD)/%=%)")

WARN   := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef \
          -Wwrite-strings -Wformat=2 -Werror
CFLAGS ?= -O2 -g
# Generated scanners and parsers are not held to our own warnings.
GENWARN := -Wno-unused-function -Wno-sign-compare -Wno-missing-prototypes -Wno-unused-but-set-variable

FRONT   := support lexer parser sema target dag planner doc lsp
ours     = $(wildcard $(1)/*.c)
obj      = $(patsubst %.c,$(BUILD)/%.o,$(1))

FRONT_OBJ   := $(call obj,$(foreach d,$(FRONT),$(call ours,$(d)))) $(BUILD)/parser/grammar.tab.o $(BUILD)/lexer/scanner.yy.o $(BUILD)/stdlib.o $(BUILD)/page_style.o \
               $(addprefix $(BUILD)/runtime/,scheduler.o page_pool.o held_pages.o)
CODEGEN_OBJ := $(call obj,$(call ours,codegen) $(call ours,codegen/cpu) $(call ours,codegen/gpu))
DRIVER_OBJ  := $(call obj,$(call ours,driver) $(call ours,import) $(call ours,engines)) $(addprefix $(BUILD)/runtime/,json_text.o config_value.o) $(BUILD)/runtime_archive.o
RUNTIME_OBJ := $(call obj,$(call ours,runtime) $(call ours,text) $(call ours,text/jinja) support/escape.c support/stage_order.c support/timeline.c)

LLVM_CFLAGS = $(shell $(LLVM_CONFIG) --cflags 2>/dev/null | sed 's/-I/-isystem /')
LLVM_LIBS   = $(shell $(LLVM_CONFIG) --ldflags --libs 2>/dev/null)

# Libraries that are linked statically: jansson into deployc, and all into each launcher, as parts of the archive that travels inside
# deployc.
JANSSON  := $(shell $(CC) -print-file-name=libjansson.a 2>/dev/null)
PCRE2    := $(shell $(CC) -print-file-name=libpcre2-8.a 2>/dev/null)
UTF8PROC := $(shell $(CC) -print-file-name=libutf8proc.a 2>/dev/null)
LIBRARIES := $(JANSSON) $(PCRE2) $(UTF8PROC)

.PHONY: all
all: $(BUILD)/deployc
libjansson.a libpcre2-8.a libutf8proc.a:
	@echo "$(CC) does not find $@: apt install $(@:.a=)-dev (make setup)" | sed 's/pcre2-8-dev/pcre2-dev/' >&2; false

# Loading libLLVM.so takes longer than most checks: deployc loads it when it generates code (codegen/late.h). Where LLVM is not one
# shared library, or no jump is known for the machine, deployc is linked with it.
LLVM_FILES := $(shell $(LLVM_CONFIG) --libfiles 2>/dev/null)
MACHINE    := $(filter x86_64 aarch64,$(shell uname -m))
LATE       := $(and $(MACHINE),$(filter %.so,$(LLVM_FILES)),$(filter 1,$(words $(LLVM_FILES))))
$(BUILD)/llvm_late.c: $(CODEGEN_OBJ) codegen/late.sh
	$(call say,GEN )
	$(Q)sh codegen/late.sh $(LLVM_FILES) $(MACHINE) $(filter %.o,$^) > $@
$(BUILD)/deployc: $(DRIVER_OBJ) $(CODEGEN_OBJ) $(FRONT_OBJ) $(if $(LATE),$(BUILD)/llvm_late.o)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(if $(LATE),-ldl,$(LLVM_LIBS)) $(JANSSON) -lm

# `q` keeps members of one name apart, but not together with `s`, which writes the index.
$(BUILD)/libdeployrt.a: $(RUNTIME_OBJ) $(LIBRARIES) Makefile
	$(call say,AR  )
	$(Q)rm -f $@ && (echo "create $@"; printf 'addlib %s\n' $(LIBRARIES); echo save) | ar -M && ar qc $@ $(RUNTIME_OBJ) && ranlib $@

# The runtime travels inside deployc, and so does the library of .deploy files.
$(BUILD)/runtime_archive.c: $(BUILD)/libdeployrt.a support/embed.sh
	$(call say,GEN )
	$(Q)sh support/embed.sh runtime_archive $< > $@
$(BUILD)/stdlib.c: $(sort $(wildcard stdlib/*.deploy)) support/embed.sh
	$(call say,GEN )
	$(Q)sh support/embed.sh --table stdlib $(filter %.deploy,$^) > $@
$(BUILD)/page_style.c: planner/page.css support/embed.sh
	$(call say,GEN )
	$(Q)sh support/embed.sh page_style $< > $@
$(BUILD)/runtime_archive.o $(BUILD)/stdlib.o $(BUILD)/page_style.o $(BUILD)/llvm_late.o: $(BUILD)/%.o: $(BUILD)/%.c
	$(call say,CC  )
	$(Q)$(CC) -O0 -I. -c -o $@ $<

$(BUILD)/parser/grammar.tab.c $(BUILD)/parser/grammar.tab.h &: parser/grammar.y
	@mkdir -p $(@D)
	$(call say,GEN )
	$(Q)bison -Wall -Werror -Wcounterexamples --defines=$(BUILD)/parser/grammar.tab.h -o $(BUILD)/parser/grammar.tab.c $<
$(BUILD)/lexer/scanner.yy.c: lexer/scanner.l
	@mkdir -p $(@D)
	$(call say,GEN )
	$(Q)flex -o $@ $<
$(BUILD)/lexer/scanner.yy.o: $(BUILD)/parser/grammar.tab.h
$(call obj,$(call ours,parser) $(call ours,lexer) lsp/call_site.c): | $(BUILD)/parser/grammar.tab.h

$(BUILD)/codegen/%.o: CPPFLAGS += $(LLVM_CFLAGS)
$(BUILD)/parser/grammar.tab.o $(BUILD)/lexer/scanner.yy.o: $(BUILD)/%.o: $(BUILD)/%.c
	$(call say,CC  )
	$(Q)$(CC) $(WARN) $(GENWARN) $(CFLAGS) $(CPPFLAGS) -I. -I$(BUILD) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(WARN) $(CFLAGS) $(CPPFLAGS) -I. -I$(BUILD) -MMD -MP -c -o $@ $<

-include $(filter-out $(BUILD)/packages/%,$(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/*/*/*/*.d))

# ---- installation: `make install PREFIX=~/.local`, `make uninstall` with the same PREFIX -----------------------------
PREFIX  ?= /usr/local
DESTDIR ?=
share   := $(DESTDIR)$(PREFIX)/share
# All that is in editors/, but pages about it, its tools, and what others leave there.
EDITORS := $(shell cd editors && find . -type f ! -name '*.md' ! -name '*.py' ! -name '*.vsix' ! -path '*/node_modules/*' ! -path '*/__pycache__/*')
.PHONY: install install-share uninstall
install: all install-share
	$(Q)install -D -m 755 $(BUILD)/deployc $(DESTDIR)$(PREFIX)/bin/deployc
	@echo "installed below $(DESTDIR)$(PREFIX); files for editors: $(PREFIX)/share/deployc/editors"
install-share: all
	$(Q)mkdir -p $(share)/man/man1 $(share)/bash-completion/completions $(share)/zsh/site-functions $(share)/fish/vendor_completions.d
	$(Q)$(BUILD)/deployc man > $(share)/man/man1/deployc.1
	$(Q)$(BUILD)/deployc completion bash > $(share)/bash-completion/completions/deployc
	$(Q)$(BUILD)/deployc completion zsh > $(share)/zsh/site-functions/_deployc
	$(Q)$(BUILD)/deployc completion fish > $(share)/fish/vendor_completions.d/deployc.fish
	$(Q)for file in $(EDITORS); do install -D -m 644 editors/$$file $(share)/deployc/editors/$$file || exit 1; done
# The extension for VS Code.
.PHONY: vsix
vsix:
	@mkdir -p $(BUILD)
	@$(PYTHON) editors/vscode/pack.py $(BUILD)/deploy.vsix && echo "$(BUILD)/deploy.vsix"
uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/deployc $(share)/man/man1/deployc.1 $(share)/bash-completion/completions/deployc \
	  $(share)/zsh/site-functions/_deployc $(share)/fish/vendor_completions.d/deployc.fish
	$(Q)rm -rf $(share)/deployc

# ---- packages: packages/README.md ----------------------------------------------------------------------------------
# `make deb`, `make wheel`: BUILD/packages/deployc_*.deb and .whl. `make packages-check` installs each in a bare Debian and uses it.
PACKAGES := $(BUILD)/packages
WHEEL    := $(PACKAGES)/wheel
BUNDLE   := $(WHEEL)/lib/deployc
LLVM_SO  := $(BUNDLE)/$(notdir $(realpath $(LLVM_FILES)))
CXX      ?= g++
.PHONY: deb wheel packages packages-check test-packages
packages: deb wheel
deb: all
	$(Q)rm -rf $(PACKAGES)/deb $(PACKAGES)/*.deb
	$(Q)$(MAKE) --no-print-directory install BUILD=$(BUILD) DESTDIR=$(PACKAGES)/deb PREFIX=/usr >/dev/null
	$(Q)sh packages/deb.sh $(PACKAGES)/deb $(PACKAGES)/deployc_$(shell uname -m).deb
	@ls -l $(PACKAGES)/*.deb
$(BUNDLE)/link/%.so.6: packages/stub.py
	$(call say,STUB)
	$(Q)mkdir -p $(@D)
	$(Q)CC="$(CC)" $(PYTHON) packages/stub.py $$($(CC) -print-file-name=$(@F)) $@
$(BUNDLE)/link/start.o: packages/start.s
	$(call say,AS  )
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<
$(LLVM_SO): $(BUILD)/llvm_late.c packages/llvm.sh packages/llvm.cc
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)CXX="$(CXX)" LLVM_CONFIG=$(LLVM_CONFIG) sh packages/llvm.sh $< $@ $(PACKAGES)/llvm
$(BUNDLE)/ld.lld: packages/lld.c $(LLVM_SO)
	$(call say,LINK)
	$(Q)$(CC) $(WARN) -O2 -s -o $@ $^ -Wl,-rpath,'$$ORIGIN'
# deployc that loads the LLVM beside it.
$(WHEEL)/bin/deployc: $(DRIVER_OBJ) $(CODEGEN_OBJ) $(FRONT_OBJ) $(BUILD)/llvm_late.o
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -s -o $@ $^ -Wl,-rpath,'$$ORIGIN/../lib/deployc' -ldl $(JANSSON) -lm
wheel: all $(WHEEL)/bin/deployc $(BUNDLE)/ld.lld $(addprefix $(BUNDLE)/link/,start.o libm.so.6 libc.so.6)
	$(Q)rm -rf $(WHEEL)/share
	$(Q)$(MAKE) --no-print-directory install-share BUILD=$(BUILD) PREFIX=$(abspath $(WHEEL)) >/dev/null
	$(Q)ls -l $$($(PYTHON) packages/wheel.py $(WHEEL) $(PACKAGES))
packages-check: packages
	@$(PYTHON) tests/packages/chroot.py $(PACKAGES) $(BARE)
test-packages: packages
	@BUILD=$(BUILD) DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/packages/run.py

# ---- tests: see tests/check.sh for what a change must pass ---------------------------------------------------------
# tests/unit: test_*.c is linked with the front end, rt_*.c with the runtime, cg_*.c with the whole compiler, drv_*.c with the
# driver, but for its main, and without LLVM.
UNIT := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c tests/unit/rt_*.c tests/unit/cg_*.c tests/unit/drv_*.c))
$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(JANSSON) -lm
$(BUILD)/tests/unit/rt_%: $(BUILD)/tests/unit/rt_%.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka -lm -lpthread
$(BUILD)/tests/unit/rt_queue: $(BUILD)/planner/queue.o
$(BUILD)/tests/unit/cg_%: $(BUILD)/tests/unit/cg_%.o $(CODEGEN_OBJ) $(FRONT_OBJ) $(BUILD)/tests/gpu/gpu_test.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LLVM_LIBS) -lcmocka $(JANSSON) -ldl -lm
$(BUILD)/tests/unit/cg_%.o: CPPFLAGS += $(LLVM_CFLAGS)
$(BUILD)/tests/unit/drv_%: $(BUILD)/tests/unit/drv_%.o $(filter-out %/main.o,$(DRIVER_OBJ)) $(FRONT_OBJ) $(BUILD)/tests/robust/no_codegen.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(JANSSON) -lm
.SECONDARY: $(UNIT:%=%.o)

# tests/text: tokenizers, by a program that answers questions about one. `make test-text-random TOKENIZERS=python` needs a python that
# has Hugging Face's package, and compares RANDOM texts for each tokenizer.
TOKENIZERS ?= $(PYTHON)
RANDOM     ?= 100000
ANSWER     := $(BUILD)/tests/text/answer
$(ANSWER): $(BUILD)/tests/text/answer.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lm -lpthread -ldl
.PHONY: test-text test-text-random fixtures
# Makes the committed checkpoints: `make fixtures TORCH=python` needs a python that has torch and transformers.
TORCH ?= $(PYTHON)
fixtures:
	@$(TORCH) tests/fixtures/make_fixtures.py
	@$(TORCH) tests/fixtures/make_processors.py
	@$(TORCH) samples/tiny_chat/make.py
test-text: $(ANSWER)
	@$(PYTHON) tests/text/run.py $(ANSWER)
test-text-random: $(ANSWER)
	@$(TOKENIZERS) tests/text/run.py $(ANSWER) --random $(RANDOM)

# tests/chat: chat templates, likewise. `make test-chat-random JINJA=python` needs a python that has Jinja2, and renders every template
# with CHATS random conversations, and twice as many random templates.
JINJA       ?= $(PYTHON)
CHATS       ?= 1000
CHAT_ANSWER := $(BUILD)/tests/chat/answer
$(CHAT_ANSWER): $(BUILD)/tests/chat/answer.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lm -lpthread -ldl
.PHONY: test-chat test-chat-random
test-chat: $(CHAT_ANSWER)
	@$(PYTHON) tests/chat/run.py $(CHAT_ANSWER)
test-chat-random: $(CHAT_ANSWER)
	@$(JINJA) tests/chat/run.py $(CHAT_ANSWER) --random $(CHATS)

# tests/lsp: the language server, and one whose passes have bugs.
comma := ,
BUGS := $(BUILD)/tests/lsp/bugs
$(BUGS): $(BUILD)/tests/lsp/bugs.o $(DRIVER_OBJ) $(FRONT_OBJ) $(BUILD)/tests/robust/no_codegen.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(addprefix -Wl$(comma)--wrap=,sema_load passes_run planner_goals hover_at) -o $@ $^ $(JANSSON) -lm
.PHONY: test-lsp
test-lsp: all $(BUGS)
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/lsp/run.py

# tests/editors: what the scanner makes of a text, beside the colours of editors.
SCANNED := $(BUILD)/tests/editors/tokens
$(SCANNED): $(BUILD)/tests/editors/tokens.o $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(JANSSON) -lm
.PHONY: test-editors
test-editors: all $(SCANNED)
	@BUILD=$(BUILD) DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/editors/run.py
.PHONY: captures
captures: all
	@BUILD=$(BUILD) DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/editors/captures.py

# tests/robust/alloc.py: the front end without LLVM, the malloc that is preloaded, and a program that does not end cleanly.
ROBUST := $(addprefix $(BUILD)/tests/robust/,front unclean failing_malloc.so)
$(BUILD)/tests/robust/front: $(DRIVER_OBJ) $(FRONT_OBJ) $(BUILD)/tests/robust/no_codegen.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(JANSSON) -lm
$(BUILD)/tests/robust/unclean: $(BUILD)/tests/robust/unclean.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^
$(BUILD)/tests/robust/%.so: tests/robust/%.c
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(WARN) $(CFLAGS) -fPIC -shared -o $@ $<

# tests/gpu: a libcuda.so.1 that executes PTX on the CPU, a libnccl.so.2 between processes, and tests that run on them as on GPUs.
GPU_FLAGS := -O3 -g -fPIC -fvisibility=hidden -ffp-contract=off $(if $(filter x86_64,$(MACHINE)),-march=x86-64-v3)
GPU_OBJ   := $(call obj,$(call ours,tests/gpu/ptx) $(call ours,tests/gpu/exec) $(call ours,tests/gpu/driver))
NCCL_OBJ  := $(call obj,$(call ours,tests/gpu/nccl))
EMULATOR  := $(addprefix $(BUILD)/tests/gpu/,libcuda.so.1 libnccl.so.2 nvtx_tool.so)
GPU_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/gpu/test_*.c tests/gpu/rt_*.c))
$(GPU_OBJ) $(NCCL_OBJ): CFLAGS := $(GPU_FLAGS)
$(BUILD)/tests/gpu/libcuda.so.1: $(GPU_OBJ)
	$(call say,LINK)
	$(Q)$(CC) -shared -Wl,-soname,libcuda.so.1 -o $@ $^ -lpthread -lm
$(BUILD)/tests/gpu/libnccl.so.2: $(NCCL_OBJ) $(BUILD)/tests/gpu/libcuda.so.1
	$(call say,LINK)
	$(Q)$(CC) -shared -Wl,-soname,libnccl.so.2 -Wl,-z,defs -o $@ $^ -lpthread
$(BUILD)/tests/gpu/nvtx_tool.so: tests/gpu/nvtx_tool.c
	$(call say,LINK)
	$(Q)$(CC) $(WARN) $(CFLAGS) -fPIC -shared -o $@ $<
$(BUILD)/tests/gpu/test_%: $(BUILD)/tests/gpu/test_%.o $(BUILD)/tests/gpu/gpu_test.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka -ldl -lm
$(BUILD)/tests/gpu/rt_%: $(BUILD)/tests/gpu/rt_%.o $(BUILD)/tests/gpu/gpu_test.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka -lpthread -ldl -lm
.SECONDARY: $(GPU_TESTS:%=%.o)
$(BUILD)/tests/gpu/bench: $(BUILD)/tests/gpu/bench.o $(BUILD)/tests/gpu/gpu_test.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka -ldl -lm
# What card.sh runs on a machine with a GPU: the folder travels there with the tests, and with LLVM, which generates the kernels of
# tests/unit. `make card CARD_FAMILIES=` leaves these out.
CARD_BENCH := $(addprefix $(BUILD)/tests/gpu/,card_bench.o card_step.o card_agree.o gpu_test.o)
CARD_TESTS := $(addprefix $(BUILD)/tests/gpu/test_,kernels instructions convert faults matrix graphs)
CARD_FAMILIES := $(addprefix $(BUILD)/tests/unit/cg_,kernels attend experts sample)
.PHONY: card test-card
card: all $(CARD_TESTS) $(CARD_BENCH) $(CARD_FAMILIES) $(BUILD)/libdeployrt.a
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/gpu/card.py $(BUILD)/card
	@mkdir -p $(BUILD)/card/lib && cp -L $$($(CC) -print-file-name=libcmocka.so.0) $(BUILD)/card/lib/
	@rm -f $(BUILD)/card/lib/llvm && cp $(CARD_TESTS) $(CARD_FAMILIES) $(BUILD)/card/
	@[ -z "$(CARD_FAMILIES)" ] || sh tests/gpu/card_lib.sh $(BUILD)/card $(firstword $(CARD_FAMILIES))
	@for size in full small; do \
		$(CC) $(CFLAGS) -o $(BUILD)/card/$$size $(CARD_BENCH) $(BUILD)/card/$$size.o $(BUILD)/libdeployrt.a -lcmocka -lpthread -ldl -lm || exit 1; \
	done
test-card: card $(EMULATOR)
	@LD_LIBRARY_PATH=$(BUILD)/tests/gpu $(WITH_PTXAS) sh tests/gpu/card_test.sh $(BUILD)/card
.PHONY: emulator test-emulator bench-emulator
emulator: $(EMULATOR)
bench-emulator: $(BUILD)/tests/gpu/bench $(EMULATOR)
	@LD_LIBRARY_PATH=$(BUILD)/tests/gpu $(WITH_PTXAS) $<
# Kernels and collectives of GPUs, by the tests of the CPU; those of kernels look for races too, and in `test-gpu` run with other seeds.
GPU_UNIT  := $(addprefix $(BUILD)/tests/unit/cg_,attend sample kernels experts broken wide)
GPU_COMM  := $(BUILD)/tests/unit/rt_comm
WITH_PTXAS := PATH="$$PATH:$$(dirname "$$(BUILD=$(BUILD) $(PYTHON) tests/gpu/ptxas.py)")"
test-emulator: $(GPU_TESTS) $(GPU_UNIT) $(GPU_COMM) $(EMULATOR) all
	@DEPLOYC=$(BUILD)/deployc TEST_TARGET=cuda LD_LIBRARY_PATH=$(BUILD)/tests/gpu $(WITH_PTXAS) sh tests/unit.sh $(GPU_TESTS) $(GPU_COMM)
	@EMU_RACE=1 TEST_TARGET=cuda LD_LIBRARY_PATH=$(BUILD)/tests/gpu sh tests/unit.sh $(GPU_UNIT)

# tests/programs: COUNT random programs are checked, one in EVERY is built and run; docs/testing.md says more.
COUNT ?= 500
FIRST ?= 0
EVERY ?= 16
$(BUILD)/tests/programs/check_many: $(BUILD)/tests/programs/check_many.o $(filter-out %/main.o,$(DRIVER_OBJ)) $(CODEGEN_OBJ) $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LLVM_LIBS) $(JANSSON) -lm
.PHONY: programs
programs: all $(BUILD)/tests/programs/check_many
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/programs/found.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/programs/run.py $(COUNT) $(FIRST) $(EVERY)

# docs/errors.md is the table of diagnostics in print, docs/changelog.md what changed in it, docs/stdlib the library.
.PHONY: docs
docs: all
	@$(BUILD)/deployc explain --markdown > docs/errors.md
	@$(BUILD)/deployc explain --changes > docs/changelog.md
	@$(BUILD)/deployc doc std -o docs/stdlib
	@$(PYTHON) tests/engines/table.py --write
.PHONY: setup demo demo-gpu readme check quick test-unit test-golden test-forms test-e2e test-failures test-scale test-alloc sanitize fuzz
setup:
	@BUILD=$(BUILD) PYTHON=$(PYTHON) sh tests/setup.sh
demo:
	@sh tests/setup.sh --packages
	@$(MAKE) --no-print-directory BUILD=$(BUILD) all
	@sh tests/demo.sh $(BUILD)/deployc $(BUILD)/demo
# The demo on eight emulated GPUs, which exchange data through the emulated NCCL.
demo-gpu:
	@sh tests/setup.sh --packages
	@$(MAKE) --no-print-directory BUILD=$(BUILD) all $(EMULATOR)
	@EMU_DEVICES=8 LD_LIBRARY_PATH=$(BUILD)/tests/gpu sh tests/demo.sh $(BUILD)/deployc $(BUILD)/demo-gpu --target=cuda
readme: all
	@sh tests/demo.sh $(BUILD)/deployc $(BUILD)/demo | $(PYTHON) tests/readme.py
check:
	@BUILD=$(BUILD) PYTHON=$(PYTHON) bash tests/check.sh
# The inner loop: what most changes can break, in under three minutes.
quick:
	@BUILD=$(BUILD) PYTHON=$(PYTHON) bash tests/check.sh gcc unit layers style voice docs stdlib models fields import format golden fixes few meaning
test-unit: $(UNIT)
	@sh tests/unit.sh $^
test-golden: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/golden/run.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/golden/fixes.py
test-forms: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/forms/run.py
test-e2e: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_meshes.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_heads.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_loops.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_shared.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_sampling.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_stop.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_batch.py
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_text.py
# The pages of `deployc report` in a browser; somebody should look at the screenshots.
.PHONY: test-report
test-report: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/json/browser.py $(BUILD)/report
test-failures: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_failures.py
test-scale: all
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/e2e/run_scale.py
# ALLOC=--all: each request for memory, in minutes.
test-alloc: all $(ROBUST)
	@DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/robust/alloc.py $(ALLOC)

# Launchers of --target=cuda on the emulated GPU: a spread of meshes of all families, or with CUDA_MESHES=--all all of them. `test-gpu`
# has all meshes and other tests of launchers, and sends the kernels of all library models through NVIDIA's assembler.
EMULATED    := LD_LIBRARY_PATH=$(abspath $(BUILD))/tests/gpu DEPLOYC=$(BUILD)/deployc
.PHONY: test-cuda test-gpu
test-cuda: all $(EMULATOR)
	@$(EMULATED) $(PYTHON) tests/gpu/launchers.py
	@$(EMULATED) EMU_DEVICES=24 TEST_TARGET=cuda $(PYTHON) tests/gpu/meshes.py $(CUDA_MESHES)
	@$(EMULATED) EMU_DEVICES=24 EMU_RACE=1 TEST_TARGET=cuda $(PYTHON) tests/e2e/run_meshes.py "qwen3 f32 on  1"
	@$(EMULATED) EMU_DEVICES=24 TEST_TARGET=cuda $(PYTHON) tests/e2e/run_loops.py "1 and 3 layers, f32 on 2"
	@$(EMULATED) EMU_DEVICES=24 TEST_TARGET=cuda $(PYTHON) tests/e2e/run_shared.py "2 ranks"
test-gpu: all test-emulator
	@for how in "EMU_SEED=1" "EMU_SEED=2" "EMU_SEED=3 EMU_RACE=1"; do \
	  env $$how TEST_TARGET=cuda LD_LIBRARY_PATH=$(BUILD)/tests/gpu sh tests/unit.sh $(GPU_UNIT) || exit 1; done
	@BUILD=$(BUILD) DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/gpu/ptx.py --all
	@$(MAKE) --no-print-directory test-cuda CUDA_MESHES=--all
	@for test in loops shared formats values sampling stop text owners streams; do \
	  $(EMULATED) EMU_DEVICES=24 TEST_TARGET=cuda $(PYTHON) tests/e2e/run_$$test.py || exit 1; done

# Unit tests and wrong specs under the address and undefined-behaviour sanitizers; fuzzing shares the objects.
SAN := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
sanitize:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/san CC=clang CFLAGS="$(SAN)" test-unit test-golden test-text test-chat
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CC=clang CFLAGS="$(TSAN)" test-threads
# The thread sanitizer over the device's team, loading of weights, the communicator, and a launcher, whose ranks are threads here.
TSAN := -O1 -g -fsanitize=thread -DRANKS_ARE_THREADS
.PHONY: test-threads
test-threads: $(addprefix $(BUILD)/tests/unit/,rt_team rt_comm rt_weights rt_schedule rt_world)
	@sh tests/unit.sh $^
fuzz:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/san CC=clang CFLAGS="$(SAN)" FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-run

# Launchers whose kernels, steps and runtime are under the address or the thread sanitizer: deployc with such a runtime in it. The
# pass is LLVM 19's, the sanitizer's library clang's own, which knows these three functions by their old names.
OLD_NAMES := -Wl,--defsym=__tsan_memcpy=memcpy,--defsym=__tsan_memset=memset,--defsym=__tsan_memmove=memmove
SANITIZED := address thread
sanitized  = CC="clang -fsanitize=$(1) $(if $(filter thread,$(1)),$(OLD_NAMES))" DEPLOYC_SANITIZE=$(1) DEPLOYC=$(BUILD)/sanitized/$(1)/deployc
.PHONY: sanitize-kernels
sanitize-kernels: $(SANITIZED:%=$(BUILD)/sanitized/%/deployc)
	@$(call sanitized,address) DEPLOYC_GAPS=256 ASAN_OPTIONS=detect_leaks=0 $(PYTHON) tests/e2e/run_sanitized.py
	@$(call sanitized,thread) $(PYTHON) tests/e2e/run_sanitized.py
$(BUILD)/sanitized/%/deployc: $(filter-out %/runtime_archive.o,$(DRIVER_OBJ)) $(CODEGEN_OBJ) $(FRONT_OBJ) $(wildcard runtime/*.[ch])
	@$(MAKE) --no-print-directory BUILD=$(@D) CC=clang CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=$*" $(@D)/libdeployrt.a
	@sh support/embed.sh runtime_archive $(@D)/libdeployrt.a > $(@D)/runtime_archive.c
	$(Q)$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) $(@D)/runtime_archive.c $(LLVM_LIBS) $(JANSSON) -lm

# tests/fuzz/*.c: LLVMFuzzerTestOneInput over the front end, rt_*.c over the runtime; the library's files are the seeds.
FUZZ := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*.c))
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(JANSSON) -lm
# fuzz_dag, fuzz_check and fuzz_lsp read the library with each spec: what reads texts, which the others fuzz, is not instrumented for them,
# which makes them ten times as fast.
PLAIN := $(filter $(BUILD)/support/% $(BUILD)/lexer/% $(BUILD)/parser/%,$(FRONT_OBJ))
$(PLAIN:%.o=%.plain.o): | $(BUILD)/parser/grammar.tab.h
$(BUILD)/tests/fuzz/fuzz_dag $(BUILD)/tests/fuzz/fuzz_check $(BUILD)/tests/fuzz/fuzz_lsp: %: %.o $(filter-out $(PLAIN),$(FRONT_OBJ)) $(PLAIN:%.o=%.plain.o)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(JANSSON) -lm
$(BUILD)/%.plain.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(CPPFLAGS) -I. -I$(BUILD) -MMD -MP -c -o $@ $<
$(BUILD)/%.plain.o: $(BUILD)/%.c
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g $(CPPFLAGS) -I. -I$(BUILD) -MMD -MP -c -o $@ $<
$(BUILD)/tests/fuzz/rt_%: $(BUILD)/tests/fuzz/rt_%.o $(filter-out %/main.o,$(RUNTIME_OBJ))
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBRARIES) -lm -lpthread
.SECONDARY: $(FUZZ:%=%.o)
# fuzz_flags reads what `deployc import --from` reads.
$(BUILD)/tests/fuzz/fuzz_flags: $(call obj,$(call ours,engines) $(call ours,import)) $(addprefix $(BUILD)/runtime/,json_text.o config_value.o)
.PHONY: fuzz-run
fuzz-run: $(FUZZ)
	@sh tests/fuzz.sh $(BUILD)/fuzz $(FUZZ_SECONDS) $^

# Whole models beside this machine's limits; see docs/bench.md. Slowness is not a failure. BENCH="--only moe" for some cases.
.PHONY: bench
$(BUILD)/bench/limits: $(BUILD)/bench/limits.o
	$(CC) $(CFLAGS) -o $@ $^ -lpthread
bench: all $(BUILD)/bench/limits
	@$(PYTHON) bench/run.py --deployc $(BUILD)/deployc --limits $(BUILD)/bench/limits $(BENCH)
	@$(PYTHON) bench/search.py --deployc $(BUILD)/deployc
	@$(PYTHON) bench/lsp.py --deployc $(BUILD)/deployc

# What a search over meshes, templates and sizes takes.
.PHONY: bench-search
bench-search: all
	@$(PYTHON) bench/search.py --deployc $(BUILD)/deployc

# What planning a decode step costs rank 0.
.PHONY: bench-schedule
$(BUILD)/bench/schedule: $(BUILD)/bench/schedule.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lm -lpthread -ldl
bench-schedule: $(BUILD)/bench/schedule
	@$<

# Predictions beside published measurements: docs/accuracy.md. ACCURACY="--rows products" prints figures instead.
.PHONY: accuracy test-accuracy
ACCURACY ?= --write
$(BUILD)/tests/accuracy/operators: $(BUILD)/tests/accuracy/operators.o $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(JANSSON) -lm
accuracy: all $(BUILD)/tests/accuracy/operators
	@BUILD=$(BUILD) $(PYTHON) tests/accuracy/run.py $(ACCURACY)
test-accuracy:
	@$(MAKE) --no-print-directory BUILD=$(BUILD) ACCURACY= accuracy

# What a plan's times cost.
# What the language server takes after a keystroke.
.PHONY: bench-lsp
bench-lsp: all
	@$(PYTHON) bench/lsp.py --deployc $(BUILD)/deployc

.PHONY: bench-planner
$(BUILD)/bench/planner: $(BUILD)/bench/planner.o $(FRONT_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(JANSSON) -lm
bench-planner: $(BUILD)/bench/planner
	@$<

# The constants of std.calibration, fitted again: TABLES=DIR of operator tables, CLONE=DIR of ai-dynamo/aiconfigurator for more of them.
.PHONY: calibrate test-calibrate
TABLES ?= ../shared/tables
$(BUILD)/bench/calibrate.so: bench/calibrate.c planner/time_product.c planner/time_attention.c planner/time_collective.c planner/time.h sema/calibration.h
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(WARN) $(CFLAGS) $(CPPFLAGS) -I. -shared -fPIC -o $@ $(filter %.c,$^) -lm
$(BUILD)/bench/python/bin/python:
	$(Q)$(PYTHON) -m venv $(BUILD)/bench/python && $@ -m pip install --quiet numpy pyarrow
calibrate: $(BUILD)/bench/calibrate.so $(if $(CLONE),$(BUILD)/bench/python/bin/python)
	@BUILD=$(BUILD) $(if $(CLONE),$(BUILD)/bench/python/bin/python,$(PYTHON)) bench/calibrate.py $(TABLES) $(if $(CLONE),--clone $(CLONE)) $(CALIBRATE)

test-calibrate: all $(BUILD)/bench/calibrate.so
	@BUILD=$(BUILD) DEPLOYC=$(BUILD)/deployc $(PYTHON) tests/calibrate.py

# Loading a checkpoint of 2.5 GB beside reading its file once.
.PHONY: bench-load
bench-load: all
	@$(PYTHON) bench/load.py --deployc $(BUILD)/deployc $(BENCH)

# Tokenizers on one core: TOKENIZER=FILE, and TEXT=FILE instead of this repository's pages.
.PHONY: bench-text
TOKENIZER ?= tests/text/tokenizers/llama3.json
TEXT      ?= $(BUILD)/bench/pages.txt
$(BUILD)/bench/tokenize: $(BUILD)/bench/tokenize.o $(BUILD)/libdeployrt.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lm -lpthread -ldl
$(BUILD)/bench/pages.txt: README.md $(wildcard docs/*.md)
	@mkdir -p $(@D)
	@cat $^ $^ $^ $^ $^ $^ $^ $^ > $@
bench-text: $(BUILD)/bench/tokenize $(TEXT)
	@$< $(TOKENIZER) $(TEXT)

# All that steps of `make check` share, so that they find it made when they run side by side.
.PHONY: tests
tests: all $(UNIT) $(ANSWER) $(CHAT_ANSWER) $(ROBUST) $(SCANNED) $(EMULATOR) $(GPU_TESTS) $(CARD_BENCH) $(BUILD)/tests/programs/check_many \
  $(BUILD)/tests/accuracy/operators $(BUILD)/bench/calibrate.so

# What tests run of the sources. COVERAGE="--fresh unit golden" for some steps.
.PHONY: coverage
coverage:
	@BUILD=$(BUILD) $(PYTHON) tests/coverage.py $(COVERAGE)

# Mutants of the sources, run by parts of the tests: see docs/mutants.md. MUTANTS="--share 100 planner" for some.
.PHONY: mutants
mutants:
	@BUILD=$(BUILD) $(PYTHON) tests/mutants/run.py --all $(MUTANTS)

.PHONY: clean
clean:
	rm -rf $(BUILD)
