import BillhookCompression
import BillhookFormats
import BillhookPipeline
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@Suite struct LoadedDataTests {
  private func npz(_ folder: TemporaryFolder, labels: Int = 4) throws -> String {
    let path = folder("data.npz")
    try NumpyArchive.write(
      [
        "x": Tensor((0..<16).map { UInt8($0) }, shape: [4, 2, 2]),
        "labels": Tensor((0..<labels).map { Int64($0) }),
      ], to: path)
    return path
  }

  @Test func `channels repeats a grey image and limit takes the first samples`() throws {
    let folder = TemporaryFolder()
    let source = try DataSource("npz:\(try npz(folder)),channels=3,limit=2")
    let data = try LoadedData(source)
    #expect(data.dataset.count == 2)
    #expect(data.dataset.labels == [0, 1])
    let images = try #require(data.dataset.inputs["x"])
    #expect(images.shape == [2, 3, 2, 2])
    let pixels: [UInt8] = images.elements()
    #expect(pixels == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7])
  }

  @Test func `the digest follows content and options, not the path`() throws {
    let folder = TemporaryFolder()
    let path = try npz(folder)
    let copy = folder("copy.npz")
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    let digest = try LoadedData(DataSource("npz:\(path)")).sha256
    #expect(try LoadedData(DataSource("npz:\(copy)")).sha256 == digest)
    #expect(try LoadedData(DataSource("npz:\(path),limit=3")).sha256 != digest)
    #expect(try LoadedData(DataSource("npz:\(path),mean=0.5")).sha256 != digest)
    #expect(digest.count == 64)
  }

  @Test func `counts that differ are named`() throws {
    let folder = TemporaryFolder()
    let path = try npz(folder, labels: 3)
    let error = #expect(throws: (any Error).self) { try LoadedData(DataSource("npz:\(path)")) }
    #expect(
      error.map { "\($0)" } == """
        The data "npz:\(path)" has 4 samples of "x" but 3 of "labels"; each array needs one entry a \
        sample.
        """)
  }

  @Test func `a number that is not finite is named with its place`() throws {
    let folder = TemporaryFolder()
    let path = folder("data.npz")
    var numbers = [Float](repeating: 1, count: 12)
    numbers[7] = .nan
    try NumpyArchive.write(["x": Tensor(numbers, shape: [3, 4])], to: path)
    let error = #expect(throws: PipelineError.self) { try LoadedData(DataSource("npz:\(path)")) }
    #expect(
      error?.description == """
        The data source "npz:\(path)" cannot be used. The array "x" is nan at [1, 3], but only \
        finite numbers can be worked with; remove or replace such samples.
        """)
    #expect(try LoadedData(DataSource("npz:\(path),limit=1")).dataset.count == 1)
  }

  @Test func `a folder without the files says which one is looked for`() throws {
    let folder = TemporaryFolder()
    let text = "idx:\(folder.path):train"
    let error = #expect(throws: PipelineError.self) { try LoadedData(DataSource(text)) }
    #expect(
      error?.description == """
        The data source "\(text)" cannot be used. The folder "\(folder.path)" has no file \
        "train-images-idx3-ubyte" (or the same with .gz).
        """)
  }
}
