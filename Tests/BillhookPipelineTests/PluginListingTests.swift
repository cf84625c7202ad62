import BillhookPipeline
import BillhookPlugins
import BillhookTestSupport
import Testing

@Suite struct PluginListingTests {
  @Test func `a name that is nearly one of another hook is suggested`() {
    #expect(
      sentence { _ = try PluginListing.find("kl-divergense", hook: nil, in: PluginCatalog()) }
        == """
        There is no loss "kl-divergense"; did you mean "org.billhook.kl-divergence"? Known are \
        "org.billhook.kl-divergence".
        """)
    #expect(
      sentence { _ = try PluginListing.find("affin-int8", hook: nil, in: PluginCatalog()) }
        .hasPrefix(
          "There is no quantizer \"affin-int8\"; did you mean \"org.billhook.affine-int8\"?"))
  }
}
