import Billhook
import BillhookTestSupport
import Foundation
import Testing

/// `billhook plugin new` in every language, and the SDK that `make install` leaves behind.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct PluginProjectTests {
  private let folder = TemporaryFolder()

  private func shell(_ command: String) throws -> BillhookProcess {
    try BillhookProcess(
      URL(fileURLWithPath: "/bin/sh"), ["-ec", command], folder: folder.path)
  }

  @Test(arguments: ["c", "cxx", "swift", "rust"], ["scorer", "loss", "quantizer"])
  func `a new project builds with make and its plugin does its work`(
    language: String, hook: String
  ) throws {
    try TrainedNetworks.copy("teacher.onnx", "pruned.onnx", to: folder)
    let made = try BillhookProcess(
      "plugin", "new", "my-first", "--hook", hook, "--lang", language, "-o", "my", "--quiet",
      folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    let built = try shell("make -C my RUSTC=/usr/bin/rustc")
    #expect(built.code == 0, "\(built.errors)")
    let shown = try BillhookProcess("plugin", "show", "my/my-first.so", folder: folder.path)
    #expect(shown.output.hasPrefix("org.example.my-first (\(hook)): "), "\(shown.errors)")

    let validated = try shell("billhook plugin validate my/my-first.so --level pedantic")
    #expect(validated.code == 0, "\(validated.output)")

    let few = "fashion-mnist:train,limit=100"
    let work =
      switch hook {
      case "scorer": "prune teacher.onnx --granularity element --ratio 0.6 --scorer"
      case "loss":
        "distill pruned.onnx --teacher teacher.onnx --data \(few) --batch-size 50 --epochs 1 --loss"
      default: "quantize teacher.onnx --data \(few) --quantizer"
      }
    let used = try shell("billhook \(work) my/my-first.so -o out.onnx --json --quiet")
    #expect(used.code == 0, "\(used.errors)")
    #expect(used.output.contains("\"org.example.my-first\""))
    if hook == "quantizer" {
      #expect(folder.bytes("out.onnx").count * 3 < folder.bytes("teacher.onnx").count)
    }
  }

  @Test func `the scorers of all languages write the same bytes`() throws {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    for language in PluginProject.Language.allCases {
      let name = language.rawValue
      let result = try shell(
        """
        billhook plugin new same --hook scorer --lang \(name) -o \(name) --quiet
        make -s -C \(name) RUSTC=/usr/bin/rustc
        billhook prune teacher.onnx -o \(name).onnx --granularity element --ratio 0.6 --quiet \\
          --scorer \(name)/same.so --param exponent=2
        billhook inspect \(name).onnx --json | grep '"zeros"' >\(name).txt
        """)
      #expect(result.code == 0, "\(result.errors)")
      #expect(!folder.bytes("\(name).txt").isEmpty)
      #expect(folder.bytes("\(name).txt") == folder.bytes("c.txt"))
    }
  }

  @Test func `a project is refused where it would hurt`() throws {
    _ = folder.file("kept.txt", [1])
    let refused = try BillhookProcess(
      "plugin", "new", "mine", "--hook", "loss", "--lang", "c", "-o", folder.path,
      folder: folder.path)
    #expect(refused.code == 1)
    #expect(
      refused.errors == """
        billhook: error: Cannot make a plugin project. The folder "\(folder.path)" is not empty; \
        choose another with -o.

        """)
    let misnamed = try BillhookProcess(
      "plugin", "new", "../mine", "--hook", "loss", "--lang", "c", "-o", "x", folder: folder.path)
    #expect(misnamed.code == 2)
    #expect(
      misnamed.errors.hasPrefix(
        """
        billhook: error: Cannot make a plugin project. The name "../mine" must be lower-case \
        letters, digits and single hyphens, a letter first, at most 64 in all, such as "my-loss".

        """))
    #expect(folder.names == ["kept.txt"])
  }

  @Test func `plugin bench says how much time is the plugin's`() throws {
    for plugin in ["magnitude?exponent=2", "wanda", "kl-divergence", "affine-int8"] {
      let result = try BillhookProcess(
        "plugin", "bench", plugin, "--elements", "10000", "--seconds", "0.01", "--json",
        folder: folder.path)
      #expect(result.code == 0, "\(result.errors)")
      let report = try JSONDecoder().decode(
        PluginBenchReport.self, from: Data(result.output.utf8))
      #expect(report.elements == 10_000)
      #expect(report.runs >= 7)
      #expect(report.callShare > 0 && report.callShare <= 1)
      #expect(report.secondsPerMillionElements == report.medianSeconds / 10_000 * 1e6)
    }
  }

  @Test func `an author needs nothing but what make install leaves`() throws {
    let prefix = folder("prefix")
    let binaries = BillhookProcess.executable.deletingLastPathComponent().path
    let installed = try BillhookProcess(
      URL(fileURLWithPath: "/bin/sh"),
      ["-ec", "make -s install-files PREFIX='\(prefix)' BINARIES='\(binaries)'"],
      folder: PackageFolder.url.path)
    #expect(installed.code == 0, "\(installed.errors)")
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    _ = folder.file(
      "CMakeLists.txt",
      Array(
        """
        cmake_minimum_required(VERSION 3.16)
        project(mine CXX)
        find_package(billhook 0.1 REQUIRED)
        billhook_add_plugin(built my_own.cc)

        """.utf8))
    let result = try shell(
      """
      export PATH='\(prefix)/bin':/usr/bin:/bin PKG_CONFIG_PATH='\(prefix)/lib/pkgconfig'
      billhook plugin new my-own --hook scorer --lang cxx -o my --quiet
      grep -q '\(prefix)/lib/pkgconfig' my/Makefile
      make -s -C my
      c++ -std=c++17 -shared -fPIC `pkg-config --cflags billhook` my/my_own.cc -o by-hand.so \\
        `pkg-config --libs billhook`
      cp my/my_own.cc .
      cmake -S . -B cmake -DCMAKE_PREFIX_PATH='\(prefix)' >cmake.log
      cmake --build cmake >>cmake.log
      for library in my/my-own.so by-hand.so cmake/built.so; do
        billhook prune teacher.onnx -o out.onnx --granularity channel --ratio 0.5 --quiet \\
          --scorer ./$library >>out.txt
        nm -D --defined-only $library | cut -d ' ' -f 3 >>exports.txt
      done
      """)
    #expect(result.code == 0, "\(result.errors)")
    #expect(
      String(decoding: folder.bytes("exports.txt"), as: UTF8.self)
        == "billhook_module_v1\nbillhook_module_v1\nbillhook_module_v1\n")
    for file in ["billhook.pc", "billhook-config-version.cmake"] {
      let path = PackageFolder.url.appendingPathComponent("PluginSDK/install/\(file)")
      #expect(try String(contentsOf: path, encoding: .utf8).contains(" \(billhookVersion)"))
    }
  }

  @Test func `the Rust structs are those of the C headers`() throws {
    let sdk = PackageFolder.url.appendingPathComponent("PluginSDK/rust")
    let result = try BillhookProcess(
      URL(fileURLWithPath: "/usr/bin/python3"), ["\(sdk.path)/generate.py"], folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    let committed = try String(contentsOf: sdk.appendingPathComponent("raw.rs"), encoding: .utf8)
    #expect(
      result.output == committed, "run PluginSDK/rust/generate.py >PluginSDK/rust/raw.rs")
  }
}
