# Each target is a thin alias of the commands in it; `make` alone lists them.

PREFIX ?= /usr/local
DESTDIR ?=

# Tests and the demo share one release build, so both use the same flags.
FLAGS = -c release -Xswiftc -enable-testing
BINARIES = .build/release
SWIFT_FILES = Package.swift Plugins PluginSDK Sources Tests
KERNEL_FILES = Sources/BillhookKernels/*.cc Sources/BillhookKernels/*.h

.DEFAULT_GOAL = help
.PHONY: help setup build test demo bench fuzz onnx-conformance freeze format lint install clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 24
	@.ci/setup swift

setup: ## install what is missing: Debian packages, through apt
	@.ci/setup

build: ## build billhook and its plugins into .build/release
	@.ci/phase setup .ci/setup
	@.ci/phase build swift build $(FLAGS)

test: ## build, then run every test
	@.ci/phase setup .ci/setup python
	@.ci/phase build swift build $(FLAGS) --build-tests
	@swift test $(FLAGS) --skip-build --disable-xctest

demo: build ## build, then train, prune, distil and quantize a network on real images
	@.ci/phase demo $(BINARIES)/billhook run docs/recipes/demo.yaml

bench: ## time the work items of docs/benchmarks.md, one JSON line each
	@.ci/setup >&2
	@swift build $(FLAGS) >&2
	@$(BINARIES)/billhook-benchmark

freeze: ## freeze the plugin headers as those of their ABI version
	@.ci/setup python
	@.ci/abi freeze

onnx-conformance: ## run ONNX's own operator tests and list those that fail
	@.ci/setup onnx >&2
	@swift build $(FLAGS) --product billhook-conformance >&2
	@$(BINARIES)/billhook-conformance --table docs/onnx-support.md

FUZZ_SECONDS ?= 60

fuzz: ## fuzz the readers with AddressSanitizer, FUZZ_SECONDS=60 each
	@.ci/setup >&2
	@.ci/fuzz $(FUZZ_SECONDS)

format: ## format the sources
	swift format format -i -r --parallel $(SWIFT_FILES)
	@if command -v clang-format >/dev/null; then clang-format -i $(KERNEL_FILES); fi

lint: ## check the format of the sources
	swift format lint -s -r --parallel $(SWIFT_FILES)

install: build install-files ## install below PREFIX=/usr/local

# What `install` does with the files that are there, in BINARIES and here.
SHARE = $(DESTDIR)$(PREFIX)/share
LIB = $(DESTDIR)$(PREFIX)/lib
.PHONY: install-files
install-files:
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin include/billhook lib/billhook/plugins \
	  libexec/billhook \
	  lib/pkgconfig lib/cmake/billhook share/billhook/swift share/billhook/rust \
	  share/doc/billhook/docs/recipes share/doc/billhook/Plugins \
	  share/doc/billhook/PluginSDK/schema share/bash-completion/completions \
	  share/zsh/site-functions share/fish/vendor_completions.d)
	install -m 755 $(BINARIES)/billhook $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BINARIES)/billhook-worker $(DESTDIR)$(PREFIX)/libexec/billhook
	install -m 644 $(BINARIES)/libbillhook-plugin-*.so $(LIB)/billhook/plugins
	cd $(LIB)/billhook/plugins && sha256sum libbillhook-plugin-*.so >plugins.sha256
	install -m 644 PluginSDK/include/billhook/*.h PluginSDK/cxx/billhook/*.hpp \
	  $(DESTDIR)$(PREFIX)/include/billhook
	install -m 644 PluginSDK/schema/*.schema.json PluginSDK/billhook.map $(SHARE)/billhook
	install -m 644 PluginSDK/swift/*.swift PluginSDK/install/module.modulemap $(SHARE)/billhook/swift
	install -m 644 PluginSDK/rust/*.rs $(SHARE)/billhook/rust
	install -m 644 PluginSDK/install/billhook.pc $(LIB)/pkgconfig
	install -m 644 PluginSDK/install/*.cmake $(LIB)/cmake/billhook
	rm -rf $(SHARE)/billhook/template
	cp -R PluginSDK/template $(SHARE)/billhook/template
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md LICENSE $(SHARE)/doc/billhook
	install -m 644 PluginSDK/schema/*.schema.json $(SHARE)/doc/billhook/PluginSDK/schema
	install -m 644 docs/*.md $(SHARE)/doc/billhook/docs
	install -m 644 docs/recipes/*.yaml $(SHARE)/doc/billhook/docs/recipes
	rm -rf $(SHARE)/doc/billhook/Plugins/Examples
	cp -R Plugins/Examples $(SHARE)/doc/billhook/Plugins/Examples
	$(BINARIES)/billhook --generate-completion-script bash \
	  >$(SHARE)/bash-completion/completions/billhook
	$(BINARIES)/billhook --generate-completion-script zsh >$(SHARE)/zsh/site-functions/_billhook
	$(BINARIES)/billhook --generate-completion-script fish \
	  >$(SHARE)/fish/vendor_completions.d/billhook.fish

clean: ## remove everything that was built
	rm -rf .build build
