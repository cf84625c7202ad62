import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct DatasetTests {
  static func network(_ shape: [Dimension] = ["N", 1, 2, 2]) -> Graph {
    Graph.testing(
      inputs: ["x": shape],
      [Node("Relu", name: "relu", inputs: ["x"], outputs: ["y"])])
  }

  @Test func `bytes become numbers from 0 to 1, less the mean, over the standard deviation`() throws
  {
    let data = try Dataset(
      name: "d", inputs: ["x": Tensor([UInt8(0), 51, 102, 255], shape: [1, 1, 2, 2])],
      normalization: Normalization(mean: [0.5], std: [0.25]))
    let batch = data.batch([0])["x"]!
    #expect(batch.shape == [1, 1, 2, 2])
    for (found, wanted) in zip(batch.floats(), [-2, -1.2, -0.4, 2] as [Float]) {
      #expect(abs(found - wanted) < 1e-6)
    }
  }

  @Test func `each channel has its own mean`() throws {
    let data = try Dataset(
      name: "d", inputs: ["x": Tensor([1, 2, 3, 4] as [Float], shape: [1, 2, 1, 2])],
      normalization: Normalization(mean: [1, 3], std: [1, 0.5]))
    #expect(data.batch([0])["x"]!.floats() == [0, 1, 0, 2])
  }

  @Test func `a single input takes the network's name and its channel axis`() throws {
    let data = try Dataset(
      name: "d", inputs: ["images": Tensor(zeros: [3, 2, 2], .uint8)], labels: [0, 1, 2])
    let fitted = try data.fitted(to: Self.network())
    #expect(Array(fitted.inputs.keys) == ["x"])
    #expect(fitted.inputs["x"]!.shape == [3, 1, 2, 2])
  }

  @Test func `an image is flattened for a fully connected layer`() throws {
    let data = try Dataset(name: "d", inputs: ["x": Tensor(zeros: [3, 2, 2], .uint8)])
    #expect(try data.fitted(to: Self.network(["N", 4])).inputs["x"]!.shape == [3, 4])
  }

  @Test func `bytes take the normalisation of the network, floats do not`() throws {
    var graph = Self.network()
    graph.setPreprocessing(Preprocessing(mean: [0.5], std: [0.5]))
    let bytes = try Dataset(name: "d", inputs: ["x": Tensor(zeros: [1, 1, 2, 2], .uint8)])
    let floats = try Dataset(name: "d", inputs: ["x": Tensor(zeros: [1, 1, 2, 2])])
    #expect(try bytes.fitted(to: graph).batch([0])["x"]!.floats() == [-1, -1, -1, -1])
    #expect(try floats.fitted(to: graph).batch([0])["x"]!.floats() == [0, 0, 0, 0])
  }

  @Test func `a view depends on seed, sample and view alone`() throws {
    let images = Tensor((0..<64).map { UInt8($0) }, shape: [4, 1, 4, 4])
    let data = try Dataset(name: "d", inputs: ["x": images])
    let augmentation = Augmentation(shift: 1, flip: true, views: 3)
    let together = data.batch([2, 0, 3], augmentation: augmentation, seed: 7, views: [1, 2, 0])[
      "x"]!
    let alone = data.batch([0], augmentation: augmentation, seed: 7, views: [2])["x"]!
    #expect(together.rows(1..<2).floats() == alone.floats())
    let draws = Set((0..<40).map { "\(augmentation.draw(seed: 7, sample: 1, view: $0))" })
    // 3 × 3 shifts, mirrored or not.
    #expect(draws.count > 10)
  }

  @Test func `a shift brings in zeros and a flip mirrors`() throws {
    let data = try Dataset(
      name: "d", inputs: ["x": Tensor([1, 2, 3, 4] as [Float], shape: [1, 1, 2, 2])])
    let augmentation = Augmentation(shift: 1, flip: true)
    for view in 0..<50 {
      let draw = augmentation.draw(seed: 0, sample: 0, view: view)
      let found = data.batch([0], augmentation: augmentation, views: [view])["x"]!.floats()
      if draw == Augmentation.Draw(down: 1, right: 0, mirrored: false) {
        #expect(found == [0, 0, 1, 2])
      }
      if draw == Augmentation.Draw(down: 0, right: 1, mirrored: false) {
        #expect(found == [0, 1, 0, 3])
      }
      if draw == Augmentation.Draw(down: 0, right: 0, mirrored: true) {
        #expect(found == [2, 1, 4, 3])
      }
      if draw == Augmentation.Draw() { #expect(found == [1, 2, 3, 4]) }
    }
  }

  @Test func `a drawn sample is in order and without repetition`() throws {
    let data = try Dataset(name: "d", inputs: ["x": Tensor(zeros: [100, 1])])
    let drawn = data.sampleIndices(30, seed: 1)
    #expect(drawn.count == 30 && Set(drawn).count == 30 && drawn == drawn.sorted())
    #expect(data.sampleIndices(100, seed: 1) == Array(0..<100))
    #expect(drawn != data.sampleIndices(30, seed: 2))
  }

  @Test func `arrays of different lengths are refused`() throws {
    let data = try Dataset(
      name: "d", inputs: ["a": Tensor(zeros: [2, 1]), "b": Tensor(zeros: [3, 1])])
    let graph = Graph.testing(
      inputs: ["a": ["N", 1], "b": ["N", 1]],
      [Node("Add", name: "add", inputs: ["a", "b"], outputs: ["y"])])
    #expect { try data.fitted(to: graph) } throws: {
      "\($0)"
        == "The data \"d\" has 2 samples of \"a\" but 3 of \"b\"; each array needs one entry a sample."
    }
  }

  @Test func `a shape that does not fit names both`() throws {
    let data = try Dataset(name: "d", inputs: ["x": Tensor(zeros: [2, 3, 3])])
    #expect { try data.check(against: Self.network()) } throws: {
      "\($0)" == """
        The data "d" has the shape [2, 3, 3] but the network's input "x" takes [N, 1, 2, 2]; choose \
        data of that shape, or set channels=.
        """
    }
  }

  @Test func `a mean for more channels than there are says how many to give`() {
    func sentence(_ channels: Int) -> String {
      CompressionError.normalizationChannels(data: "d", input: "x", channels: channels, found: 2)
        .description
    }
    #expect(
      sentence(1) == """
        The data "d" has 1 channel in the input "x" but its mean and standard deviation have 2 \
        values; give 1.
        """)
    #expect(sentence(3).hasSuffix("values; give 1 or 3."))
  }

  @Test func `no samples are refused`() {
    #expect { try Dataset(name: "d", inputs: ["x": Tensor(zeros: [0, 1])]) } throws: {
      "\($0)" == "The data \"d\" has no samples; check the file and its limit."
    }
  }

  /// A recurrent step: samples, their state along the second axis, a first state for all, a rate.
  static let recurrent = Graph.testing(
    inputs: ["x": ["N", 3], "state": [2, "N", 4], "first": [1, 1, 4]],
    [Node("Relu", name: "relu", inputs: ["x"], outputs: ["y"])])

  @Test func `a state's samples go along the axis that the network has them on`() throws {
    let data = try Dataset(
      name: "d",
      inputs: [
        "x": .counting([3, 3]), "state": .counting([3, 2, 4]), "first": .counting([1, 1, 4]),
      ])
    let fitted = try data.fitted(to: Self.recurrent)
    let batch = fitted.batch([2, 0])
    #expect(batch["x"] == Tensor([7, 8, 9, 1, 2, 3] as [Float], shape: [2, 3]))
    #expect(
      batch["state"]
        == Tensor(
          [17, 18, 19, 20, 1, 2, 3, 4, 21, 22, 23, 24, 5, 6, 7, 8] as [Float], shape: [2, 2, 4]))
    #expect(batch["first"] == .counting([1, 1, 4]))
    #expect(try fitted.fitted(to: Self.recurrent).batch([2, 0]) == batch)
  }

  @Test func `one row stands for all samples`() throws {
    let data = try Dataset(
      name: "d",
      inputs: [
        "x": .counting([3, 3]), "state": .counting([1, 2, 4]), "first": .counting([1, 1, 4]),
      ])
    let state = try data.fitted(to: Self.recurrent).batch([1, 2])["state"]
    #expect(
      state
        == Tensor(
          [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8] as [Float], shape: [2, 2, 4]))
  }

  @Test(arguments: [[2, 1, 4], [2, 4], [1, 2, 4]])
  func `a state without an axis for the samples is the same for all of them`(shape: [Int]) throws {
    let data = try Dataset(
      name: "d",
      inputs: [
        "state": .counting(shape), "first": .counting([1, 1, 4]), "x": .counting([3, 3]),
      ])
    let fitted = try data.fitted(to: Self.recurrent)
    #expect(fitted.count == 3)
    #expect(
      fitted.batch([2, 0])["state"]
        == Tensor(
          [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8] as [Float], shape: [2, 2, 4]))
  }

  @Test func `a state as the network states it is cut along the axis of the samples`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["", 3], "state": [2, "", 2], "rate": []],
      [Node("Relu", name: "relu", inputs: ["x"], outputs: ["y"])])
    let data = try Dataset(
      name: "d",
      inputs: [
        "x": .counting([3, 3]), "state": .counting([2, 3, 2]), "rate": .counting([1]),
      ])
    let batch = try data.fitted(to: graph).batch([2, 0])
    #expect(
      batch["state"] == Tensor([5, 6, 1, 2, 11, 12, 7, 8] as [Float], shape: [2, 2, 2]))
    #expect(batch["rate"] == Tensor([1] as [Float], shape: []))
  }

  @Test func `token ids take the integer type of the network`() throws {
    var graph = Self.network(["N", 2])
    graph.inputs[0].elementType = .int64
    let data = try Dataset(name: "d", inputs: ["x": Tensor([7, 8] as [Int32], shape: [1, 2])])
    #expect(
      try data.fitted(to: graph).batch([0])["x"] == Tensor([7, 8] as [Int64], shape: [1, 2]))
  }
}
