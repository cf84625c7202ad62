internal import BillhookPlugins
internal import BillhookSDK

/// Tests of what a quantizer's files are good for.
extension ConformanceTest {
  static let exportTests: [ConformanceTest] = [
    ConformanceTest(
      "export-roundtrip", .strict, .quantizer, "BH-65",
      "another instance restores the same values from what a file keeps of a weight"
    ) { subject in
      try eachRun(subject) { item, instance, _, run in
        guard item.isWeight, let stored = run.stored, let restored = run.restored else { return }
        // Files are read in another process, where nothing was observed or calibrated.
        let reader = try ProbeInstance(instance.plugin)
        defer { reader.end() }
        let read = try item.dequantize(
          reader, run.layout, run.parameters, stored, Surroundings())
        try subject.require(
          !read.isFailure,
          "\"dequantize\" of \(item.label) returned \(read.described) in another "
            + "instance")
        try subject.require(
          read["x"]?.bytes == restored.bytes,
          "\(item.label) comes back with other values in another instance")
      }
    }
  ]
}
