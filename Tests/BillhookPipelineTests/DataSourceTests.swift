import BillhookPipeline
import Testing

@Suite struct DataSourceTests {
  @Test(arguments: [
    "fashion-mnist:train", "fashion-mnist:test,limit=1000,channels=3",
    "idx:/data/a:b:train,mean=0.5,std=0.25", "npz:a,b.npz,limit=2",
    "npz:x.npz,mean=0.485/0.456/0.406,std=0.229/0.224/0.225",
  ])
  func `a source reads back as it is written`(text: String) throws {
    #expect(try DataSource(text).description == text)
  }

  @Test func `options may come in any order`() throws {
    let source = try DataSource("fashion-mnist:test,std=2,limit=5,mean=1")
    #expect(source == DataSource(.fashionMNIST(.test), limit: 5, mean: [1], std: [2]))
  }

  @Test(arguments: [
    (
      "fashon-mnist:test",
      """
      There is no data source "fashon-mnist". Did you mean "fashion-mnist"? Sources: \
      fashion-mnist, idx, npz.
      """
    ),
    (
      "fashion-mnist",
      "It must start with one of \"fashion-mnist:\", \"idx:\", \"npz:\". Did you mean \"fashion-mnist:\"?"
    ),
    (
      "fashion-mnist:tset",
      "There is no split \"tset\". Did you mean \"test\"? Splits: train, test."
    ),
    ("idx:folder", "Write \"idx:DIR:train\" or \"idx:DIR:test\"."),
    ("idx::train", "The folder between the colons is empty."),
    ("npz:", "The file name after \"npz:\" is empty."),
    (
      "npz:a.npz,limt=3",
      "There is no option \"limt\". Did you mean \"limit\"? Options: limit, channels, mean, std."
    ),
    ("npz:a.npz,limit=0", "\"limit\" is \"0\" but must be a whole number of at least 1."),
    ("npz:a.npz,channels=x", "\"channels\" is \"x\" but must be a whole number of at least 1."),
    ("npz:a.npz,std=0", "\"std\" is \"0\" but must be greater than 0."),
    (
      "npz:a.npz,mean=nan",
      "\"mean\" is \"nan\" but must be one number, or one a channel as in \"0.485/0.456/0.406\"."
    ),
  ])
  func `a wrong source is explained`(text: String, problem: String) {
    let error = #expect(throws: PipelineError.self) { try DataSource(text) }
    #expect(error?.description == "The data source \"\(text)\" cannot be used. \(problem)")
  }
}
