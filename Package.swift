// swift-tools-version: 6.3
import PackageDescription

// Every module states what it imports, and no declaration leaks a module it does not mean to.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let collections = Target.Dependency.product(
  name: "OrderedCollections", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yaml = Target.Dependency.product(name: "Yams", package: "Yams")

/// A Swift module of the product, in Sources/NAME.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// A built-in plugin: its own shared library, written against the SDK alone.
///
/// The path is explicit because SwiftPM looks for its own build plugins in `Plugins/`.
func plugin(_ folder: String) -> Target {
  .target(
    name: "\(folder)Plugin", dependencies: ["BillhookSDK", "BillhookPluginKit"],
    path: "Plugins/\(folder)",
    swiftSettings: strict)
}

func pluginLibrary(_ id: String, _ folder: String) -> Product {
  .library(name: "billhook-plugin-\(id)", type: .dynamic, targets: ["\(folder)Plugin"])
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["BillhookTestSupport"], swiftSettings: strict)
}

let package = Package(
  name: "billhook",
  products: [
    .library(name: "Billhook", targets: ["Billhook"]),
    .library(name: "BillhookFormats", targets: ["BillhookFormats", "BillhookGraph"]),
    .executable(name: "billhook", targets: ["BillhookCommand"]),
    .executable(name: "billhook-worker", targets: ["BillhookWorker"]),
    .executable(name: "billhook-benchmark", targets: ["BillhookBenchmark"]),
    .executable(name: "billhook-conformance", targets: ["BillhookConformance"]),
    pluginLibrary("magnitude", "Magnitude"),
    pluginLibrary("random", "Random"),
    pluginLibrary("activation", "Activation"),
    pluginLibrary("kl-divergence", "KLDivergence"),
    pluginLibrary("affine-int8", "AffineInt8"),
    // An example: built for the tests, not found among the built-ins.
    .library(name: "billhook-example-power-of-two", type: .dynamic, targets: ["PowerOfTwoPlugin"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    .target(
      name: "BillhookSDK", path: "PluginSDK",
      exclude: [
        "billhook.map", "cxx", "frozen", "install", "pkgconfig", "rust", "schema", "swift",
        "template",
      ],
      sources: ["src"]),
    .target(
      name: "BillhookPluginKit", dependencies: ["BillhookSDK"], path: "PluginSDK/swift",
      swiftSettings: strict),
    .target(
      name: "BillhookKernels",
      cxxSettings: [.headerSearchPath("."), .define("HWY_SHARED_DEFINE")],
      linkerSettings: [
        .linkedLibrary("dnnl"), .linkedLibrary("hwy"), .linkedLibrary("gomp"),
      ]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CLibFFI", pkgConfig: "libffi", providers: [.apt(["libffi-dev"])]),
    .systemLibrary(name: "CLibDW", pkgConfig: "libdw", providers: [.apt(["libdw-dev"])]),

    module("BillhookTensor", ["BillhookKernels"]),
    module("BillhookGraph", ["BillhookTensor", collections]),
    .target(
      name: "BillhookFormats",
      dependencies: ["BillhookGraph", "BillhookTensor", "CZlib", protobuf, collections],
      exclude: ["ONNX/onnx.proto", "ONNX/README.md"], swiftSettings: strict),
    module("BillhookRuntime", ["BillhookGraph", "BillhookTensor", "BillhookKernels", collections]),
    .target(name: "BillhookSandbox"),
    module(
      "BillhookPlugins",
      [
        "BillhookSDK", "BillhookTensor", "BillhookKernels", "BillhookSandbox", "CLibDW", "CLibFFI",
        crypto,
      ]),
    .executableTarget(
      name: "BillhookWorker", dependencies: ["BillhookPlugins"], swiftSettings: strict),
    module(
      "BillhookCompression",
      ["BillhookRuntime", "BillhookPlugins", "BillhookGraph", "BillhookTensor", collections]),
    module(
      "BillhookPipeline",
      [
        "BillhookCompression", "BillhookFormats", "BillhookGraph", "BillhookPlugins",
        "BillhookRuntime", "BillhookTensor", collections, crypto, logging, yaml,
      ]),
    module(
      "BillhookValidator",
      [
        "BillhookPlugins", "BillhookSDK", "BillhookKernels", "BillhookRuntime", "BillhookTensor",
      ]),
    module(
      "Billhook",
      [
        "BillhookPipeline", "BillhookCompression", "BillhookFormats", "BillhookGraph",
        "BillhookPlugins", "BillhookRuntime", "BillhookTensor",
      ]),
    .executableTarget(
      name: "BillhookCommand",
      dependencies: ["Billhook", "BillhookValidator", arguments, logging],
      swiftSettings: strict),

    plugin("Magnitude"),
    plugin("Random"),
    plugin("Activation"),
    plugin("KLDivergence"),
    plugin("AffineInt8"),
    .target(
      name: "PowerOfTwoPlugin", dependencies: ["BillhookSDK", "BillhookPluginKit"],
      path: "Plugins/Examples/swift-power-of-two", exclude: ["README.md"], swiftSettings: strict),

    .target(
      name: "BillhookTestSupport",
      dependencies: ["BillhookGraph", "BillhookTensor", collections],
      path: "Tests/BillhookTestSupport", swiftSettings: strict),
    .executableTarget(
      name: "BillhookBenchmark",
      dependencies: [
        "BillhookCompression", "BillhookFormats", "BillhookGraph", "BillhookKernels",
        "BillhookPlugins", "BillhookRuntime", "BillhookTensor", arguments, collections,
      ],
      path: "Tests/Benchmarks", exclude: ["compare.py"], swiftSettings: strict),
    .executableTarget(
      name: "BillhookConformance",
      dependencies: [
        "BillhookFormats", "BillhookGraph", "BillhookRuntime", "BillhookTensor", arguments,
      ],
      path: "Tests/Conformance", swiftSettings: strict),
    tests("BillhookKernelsTests", ["BillhookKernels"]),
    tests("BillhookTensorTests", ["BillhookTensor"]),
    tests("BillhookGraphTests", ["BillhookGraph", "BillhookTensor", collections]),
    tests(
      "BillhookFormatsTests", ["BillhookFormats", "BillhookGraph", "BillhookTensor", protobuf]),
    tests(
      "BillhookRuntimeTests",
      ["BillhookRuntime", "BillhookFormats", "BillhookGraph", "BillhookTensor", collections]),
    tests(
      "BillhookPluginsTests", ["BillhookPlugins", "BillhookKernels", "BillhookTensor"]),
    tests(
      "BillhookCompressionTests",
      [
        "BillhookCompression", "BillhookPlugins", "BillhookRuntime", "BillhookGraph",
        "BillhookTensor", collections,
      ]),
    tests(
      "BillhookPipelineTests",
      [
        "BillhookPipeline", "BillhookCompression", "BillhookFormats", "BillhookGraph",
        "BillhookPlugins", "BillhookRuntime", "BillhookTensor", collections,
      ]),
    tests(
      "BillhookValidatorTests", ["BillhookValidator", "BillhookCommand"]),
    tests(
      "EndToEndTests",
      [
        "Billhook", "BillhookCommand", "BillhookConformance", "BillhookFormats", "BillhookGraph",
        "BillhookTensor",
        collections,
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11,
  cxxLanguageStandard: .cxx17
)
