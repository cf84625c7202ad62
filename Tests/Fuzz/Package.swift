// swift-tools-version: 6.3
import PackageDescription

// Apart from the product, because everything in it is built for libFuzzer. `.ci/fuzz` builds it.
let package = Package(
  name: "billhook-fuzz",
  dependencies: [.package(name: "billhook", path: "../..")],
  targets: [
    .target(name: "CLibFuzzer"),
    .executableTarget(
      name: "BillhookFuzz",
      dependencies: ["CLibFuzzer", .product(name: "BillhookFormats", package: "billhook")],
      swiftSettings: [.enableUpcomingFeature("InternalImportsByDefault")]),
  ],
  swiftLanguageModes: [.v6])
