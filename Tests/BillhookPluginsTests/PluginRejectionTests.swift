import BillhookPlugins
import BillhookTestSupport
import Foundation
import Testing

@Suite struct PluginRejectionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var defines: [String]
    /// What follows `The plugin "PATH" breaks rule `.
    var expected: String
    var testDescription: String { defines.joined(separator: " ") }

    init(_ defines: String..., expected: String) {
      self.defines = defines
      self.expected = expected
    }
  }

  static let cases: [Case] = [
    Case(
      "HAS_NO_ENTRY",
      expected: #"BH-20: "billhook_module_v1" is not exported but must be an exported function."#),
    Case(
      "RETURNED=NULL",
      expected: #"BH-20: "billhook_module_v1()" is null but must be a bh_module."#),
    Case("MAGIC=0x1234", expected: #"BH-21: "magic" is 0x1234 but must be 0x42481a0a."#),
    Case(
      "MAJOR=2",
      expected: """
        BH-22: "abi_major" is 2 (built with headers 2.0) but must be 1: rebuild it with this \
        host's headers, 1.0.
        """),
    Case(
      "MINOR=2",
      expected: """
        BH-22: "min_minor" is 2 (built with headers 1.0) but must be at most 0: use a host that \
        has ABI 1.2, or rebuild it with BH_TARGET_MINOR=0.
        """),
    Case(
      "MODULE_SIZE=64",
      expected: #"BH-23: "bh_module.struct_size" is 64 but must be at least 88."#),
    Case(
      "PLUGIN_SIZE=144",
      expected: #"BH-23: "plugins[0].struct_size" is 144 but must be at least 152."#),
    Case(
      "PARAM_SIZE=0",
      expected: #"BH-23: "plugins[0].params[0].struct_size" is 0 but must be at least 80."#),
    Case(
      "HOOKS_SIZE=8",
      expected:
        #"BH-23: "plugins[0].vtable (bh_scorer).struct_size" is 8 but must be at least 32."#),
    Case(
      "PLUGINS=NULL",
      expected: #"BH-23: "bh_module.plugins" is null but must be an array of n_plugins pointers."#),
    Case(
      "FIRST_PLUGIN=NULL",
      expected: #"BH-23: "bh_module.plugins[0]" is null but must be a bh_plugin."#),
    Case("VENDOR=NULL", expected: #"BH-24: "bh_module.vendor" is null but must be text."#),
    Case("NAME=\" \"", expected: #"BH-24: "plugins[0].name" is blank but must be text."#),
    Case("NAME=\"\\xff\"", expected: #"BH-24: "plugins[0].name" is not UTF-8 but must be UTF-8."#),
    Case(
      "NAME=\"\\033[2J\"",
      expected: """
        BH-24: "plugins[0].name" is text with a control character but must be text without \
        control characters.
        """),
    Case(
      "DOC=\"one\\ntwo\\r\"",
      expected: """
        BH-24: "plugins[0].doc" is text with a control character but must be text without \
        control characters other than line breaks.
        """),
    Case(
      "ID=\"broken\"",
      expected: """
        BH-25: "plugins[0].id" is "broken" but must be a reverse domain name such as \
        "org.example.taylor".
        """),
    Case(
      "N_PLUGINS=2",
      expected: """
        BH-25: "plugins[1].id" is "org.example.broken" for the second time but must be unique in \
        its library.
        """),
    Case("N_PLUGINS=0", expected: #"BH-26: "n_plugins" is 0 but must be 1 to 256."#),
    Case("N_PLUGINS=257", expected: #"BH-26: "n_plugins" is 257 but must be 1 to 256."#),
    Case(
      "N_PARAMS=257", expected: #"BH-26: "plugins[0].n_params" is 257 but must be at most 256."#),
    Case(
      "MIN=3", expected: #"BH-27: "plugins[0].params[0].min" is 3 but must be at most max, 2."#),
    Case(
      "DEFAULT=.f64=5",
      expected: #"BH-27: "plugins[0].params[0].def" is 5 but must be a number from 0 to 2."#),
    Case(
      "DEFAULT_TYPE=BH_TYPE_I64",
      expected:
        #"BH-27: "plugins[0].params[0].def.type" is 1 but must be the parameter's type, 2."#),
    Case(
      "PARAM_TYPE=99", expected: #"BH-27: "plugins[0].params[0].type" is 99 but must be 1 to 7."#),
    Case(
      "KEY=\"Amount\"",
      expected: """
        BH-27: "plugins[0].params[0].key" is "Amount" but must be made of a-z, 0-9, "-" and "_".
        """),
    Case(
      "N_PARAMS=2",
      expected: """
        BH-27: "plugins[0].params[1].key" is "amount" for the second time but must be unique in \
        its plugin.
        """),
    Case(
      "PARAM_TYPE=BH_TYPE_CHOICE", "DEFAULT=.i64=0",
      expected: #"BH-27: "plugins[0].params[0].n_choices" is 0 but must be 1 to 256."#),
    Case(
      "PARAM_TYPE=BH_TYPE_CHOICE", "DEFAULT=.i64=0", "N_CHOICES=2",
      expected: """
        BH-27: "plugins[0].params[0].choices[1]" is "one" for the second time but must be unique.
        """),
    Case(
      "PARAM_TYPE=BH_TYPE_CHOICE", "DEFAULT=.i64=1", "N_CHOICES=1",
      expected:
        #"BH-27: "plugins[0].params[0].def" is 1 but must be an index below n_choices, 1."#),
    Case(
      "CAPS=(1ull<<40)",
      expected: """
        BH-28: "plugins[0].caps" is 0x10000000000 but must be free of 0x10000000000, which \
        this host does not know.
        """),
    Case(
      "HOOK=9",
      expected:
        #"BH-29: "plugins[0].hook" is 9 but must be 1 (scorer), 2 (loss) or 3 (quantizer)."#),
    Case("CREATE=NULL", expected: #"BH-29: "plugins[0].create" is null but must be a function."#),
    Case(
      "VTABLE=NULL",
      expected: #"BH-29: "plugins[0].vtable" is null but must be the table of the hook."#),
    Case(
      "SCORE=NULL", expected: #"BH-29: "plugins[0].vtable.score" is null but must be a function."#),
    Case(
      "GRANULARITIES=0",
      expected:
        #"BH-29: "plugins[0].granularities" is 0 but must be a sum of granularities, 1 to 15."#),
    Case(
      "NEEDS=0x10000",
      expected: """
        BH-29: "plugins[0].needs" is 0x10000 but must be a sum of the needs of a scorer, within \
        0x3ff.
        """),
    Case(
      "CAPS=BH_CAP_DATA_FREE", "NEEDS=BH_NEED_IN_GRAM",
      expected: """
        BH-29: "plugins[0].needs" is 0x40 but must be 0 or BH_NEED_PREV_MASK with BH_CAP_DATA_FREE.
        """),
    Case(
      "EXTRA=.n_dtypes=2,.dtypes=dtypes",
      expected: """
        BH-29: "plugins[0].dtypes[1]" is 0x800 but must be BH_DTYPE_F16, BH_DTYPE_F32 or \
        BH_DTYPE_BF16.
        """),
    Case(
      "EXTRA=.n_dtypes=17,.dtypes=dtypes",
      expected: #"BH-26: "plugins[0].n_dtypes" is 17 but must be at most 16."#),
    Case(
      "EXTRA=.save=save,.state_version=1",
      expected: """
        BH-30: "plugins[0].load" is null but must be a function, because "save" is one.
        """),
    Case(
      "EXTRA=.save=save,.load=load",
      expected: """
        BH-30: "plugins[0].state_version" is 0 but must be at least 1, because "save" is a function.
        """),
    Case(
      "EXTRA=.state_version=1",
      expected: #"BH-30: "plugins[0].state_version" is 1 but must be 0 without "save"."#),
    Case(
      "NEEDS=BH_NEED_RAW_IN",
      expected: """
        BH-30: "plugins[0].vtable.observe" is null but must be a function, because "needs" has a \
        RAW need.
        """),
    Case(
      "CAPS=BH_CAP_MERGEABLE",
      expected:
        #"BH-30: "plugins[0].vtable.merge" is null but must be a function with BH_CAP_MERGEABLE."#
    ),
    Case(
      "HOOK=BH_HOOK_LOSS", "VTABLE=&losses",
      expected: #"BH-29: "plugins[0].granularities" is 1 but must be 0 for a loss."#),
  ]

  @Test(arguments: cases)
  func `a broken rule is named with the field and both values`(_ broken: Case) throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/broken.c", defines: broken.defines)
    #expect(
      sentence { _ = try builtIns.plugin(path, hook: .scorer) }
        == "The plugin \"\(path)\" breaks rule \(broken.expected)")
  }

  @Test(arguments: [[], ["CAPS=(1<<20)"], ["MODULE_SIZE=sizeof(bh_module)+0"]])
  func `flags that are only advice may be unknown`(defines: [String]) throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/broken.c", defines: defines)
    #expect(try builtIns.plugin(path, hook: .scorer).descriptor.id == "org.example.broken")
  }

  // The host copies no more than it knows, so a larger size is safe although nothing is there.
  @Test(arguments: ["MODULE_SIZE=4096", "PLUGIN_SIZE=4096", "PARAM_SIZE=4096", "HOOKS_SIZE=4096"])
  func `a struct with fields behind the known ones is accepted`(define: String) throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/broken.c", defines: [define])
    #expect(try builtIns.plugin(path, hook: .scorer).descriptor.parameters.map(\.key) == ["amount"])
  }

  @Test func `a plugin built with headers of a later minor version is accepted`() throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/broken.c", defines: ["HEADER_MINOR=3"])
    #expect(try builtIns.plugin(path, hook: .scorer).descriptor.module.abi == "1.3")
  }

  @Test func `a document that is too long is refused`() throws {
    let text = String(repeating: "x", count: 65537)
    let path = try compiledPlugin("Tests/BrokenPlugins/broken.c", defines: ["DOC=\"\(text)\""])
    #expect(
      sentence { _ = try builtIns.plugin(path, hook: .scorer) } == """
        The plugin "\(path)" breaks rule BH-26: "plugins[0].doc" is longer than 65536 bytes but \
        must be at most 65536 bytes.
        """)
  }

  @Test func `a missing symbol is found when the library is loaded`() throws {
    let path = try compiledPlugin(
      "Tests/BrokenPlugins/broken.c", defines: ["NEEDS_A_MISSING_SYMBOL"])
    #expect(
      sentence { _ = try builtIns.plugin(path, hook: .scorer) } == """
        Cannot load the plugin "\(path)": \(path): undefined symbol: this_is_nowhere.
        """)
  }

  @Test func `a file that is not there names the reason`() {
    #expect(
      sentence { _ = try builtIns.plugin("/nowhere/x.so", hook: .scorer) } == """
        Cannot read the plugin "/nowhere/x.so": No such file or directory. Check the path and its \
        permissions.
        """)
    #expect(
      sentence { _ = try builtIns.plugin("/dev/null", hook: .scorer) } == """
        Cannot read the plugin "/dev/null": not a regular file. Check the path and its permissions.
        """)
    #expect(
      sentence { _ = try builtIns.plugin("/" + String(repeating: "x", count: 5000), hook: .loss) }
        == "The path of a plugin has 5001 bytes but may have 4095; move the file.")
  }

  static let foreignFiles: [(start: [UInt8], reason: String)] = [
    (Array("#!/bin/sh".utf8), "it is not an ELF file"),
    ([0x7F, 0x45, 0x4C, 0x46, 1, 1], "it is not 64-bit little-endian"),
    ([0x7F, 0x45, 0x4C, 0x46, 2, 1], "its ELF type is 0, not 3 (shared object)"),
  ]

  @Test(arguments: 0..<3)
  func `a file that is no library says what it is instead`(index: Int) throws {
    let (start, reason) = Self.foreignFiles[index]
    let path = FileManager.default.temporaryDirectory.path + "/bytes-\(UUID().uuidString).so"
    try (Data(start) + Data(count: 90)).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(
      sentence { _ = try builtIns.plugin(path, hook: .scorer) }
        == "\"\(path)\" is not a shared library for this machine: \(reason).")
  }

  @Test func `a library that was rebuilt after loading is loaded under its new digest`() throws {
    let path = FileManager.default.temporaryDirectory.path + "/rebuilt-\(getpid()).so"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let first = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    try FileManager.default.copyItem(atPath: first, toPath: path)
    let old = try builtIns.plugin(path, hook: .scorer).descriptor
    try FileManager.default.removeItem(atPath: path)
    let second = try compiledPlugin("Tests/BrokenPlugins/broken.c")
    try FileManager.default.copyItem(atPath: second, toPath: path)
    let new = try builtIns.plugin(path, hook: .scorer).descriptor
    #expect(old.id != new.id)
    #expect(old.module.sha256 != new.module.sha256)
  }

  #if arch(x86_64)
    @Test func `a library that changes the floating-point mode when loaded is refused`() throws {
      let path = try compiledPlugin(
        "Tests/BrokenPlugins/broken.c", defines: ["SETS_FLUSH_TO_ZERO_WHEN_LOADED"])
      #expect(
        sentence { _ = try builtIns.plugin(path, hook: .scorer) } == """
          Plugin "\(path)" breaks rule BH-08 in "dlopen": the floating-point mode was 0x1f80 and \
          is 0x9fc0 after it (it was set back). Build the plugin without -ffast-math.
          """)
      #expect(Float.leastNonzeroMagnitude * 1 != 0)
    }
  #endif
}
