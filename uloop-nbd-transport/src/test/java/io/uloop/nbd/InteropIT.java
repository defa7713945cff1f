/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.InteropTools.nbdsh;
import static io.uloop.nbd.InteropTools.need;
import static io.uloop.nbd.InteropTools.run;
import static io.uloop.nbd.InteropTools.runFor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Real clients: libnbd (nbdinfo, nbdcopy, nbdsh), qemu (qemu-img, qemu-io), fio, nbd-client, and
 * nbdkit's nbd plugin; see {@link InteropTools} for where they come from.
 */
@Tag("interop")
@Timeout(120)
class InteropIT {

  private static final int SIZE = 16 << 20;

  @TempDir static Path shared;

  private static Path keys;

  @TempDir Path folder;
  private MemoryDevice device;
  private NbdServer server;

  @BeforeAll
  static void makeKeys() throws Exception {
    keys = TestKeys.copyTo(shared).folder("server").getParent();
  }

  @BeforeEach
  void makeDevice() throws IOException {
    device =
        new MemoryDevice(SIZE)
            .hole(4 << 20, 6 << 20)
            .absent(8 << 20, 12 << 20)
            .missesOn(Executors.newSingleThreadExecutor());
  }

  @AfterEach
  void stop() throws IOException {
    if (server != null) {
      server.close();
    }
  }

  private String serve(Consumer<NbdServerConfig.Builder> settings) throws IOException {
    NbdServerConfig.Builder config =
        NbdServerConfig.builder()
            .listen("unix:" + folder + "/s")
            .listen("tcp:127.0.0.1:0")
            .export(new NbdExport("disk", device, "sixteen MiB"));
    settings.accept(config);
    server = NbdServer.start(config.build());
    return "nbd+unix:///disk?socket=" + folder + "/s";
  }

  private String serve() throws IOException {
    return serve(c -> {});
  }

  // ---- libnbd ----

  @Test
  void nbdinfo_export_isDescribed() throws Exception {
    String said = run("nbdinfo", serve());

    assertThat(said)
        .contains("export=\"disk\"", "export-size: 16777216", "description: sixteen MiB")
        .contains("base:allocation", "x-uloop:cached", "can_multi_conn: true")
        .contains("can_cache: true", "can_fast_zero: true", "can_fua: true", "can_trim: true")
        .contains("block_size_minimum: 1", "block_size_maximum: 33554432");
  }

  @Test
  void nbdinfo_list_namesTheExports() throws Exception {
    serve(c -> c.export(new NbdExport("other", new MemoryDevice(1 << 20), "")));

    assertThat(run("nbdinfo", "--list", "nbd+unix:///?socket=" + folder + "/s"))
        .contains("export=\"disk\"", "export=\"other\"");
  }

  @Test
  void nbdinfo_maps_showHolesAndPresence() throws Exception {
    String uri = serve();

    assertThat(run("nbdinfo", "--map", uri).lines().map(InteropIT::squeeze))
        .containsExactly(
            "0 4194304 0 data", "4194304 2097152 3 hole,zero", "6291456 10485760 0 data");
    assertThat(run("nbdinfo", "--map=x-uloop:cached", uri).lines().map(InteropIT::squeeze))
        .containsExactly("0 8388608 1", "8388608 4194304 0", "12582912 4194304 1");
  }

  private static String squeeze(String line) {
    return line.trim().replaceAll(" +", " ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "2", "4"})
  void nbdcopy_wholeExport_isTheSame(String connections) throws Exception {
    Path copy = folder.resolve("copy");
    run("nbdcopy", "--connections=" + connections, serve(), copy.toString());

    assertThat(Arrays.equals(Files.readAllBytes(copy), device.content)).isTrue();
  }

  @Test
  void nbdcopy_intoTheExport_isTheSame() throws Exception {
    Path source = folder.resolve("source");
    byte[] data = new byte[SIZE];
    Arrays.fill(data, 1 << 20, 3 << 20, (byte) 7);
    Files.write(source, data);
    run("nbdcopy", "--flush", source.toString(), serve());

    assertThat(Arrays.equals(device.content, data)).isTrue();
    assertThat(device.flushes.get()).isPositive();
  }

  @Test
  void nbdsh_commands_workWithStructuredRepliesAndWithout() throws Exception {
    String uri = serve();
    for (String structured : new String[] {"True", "False"}) {
      String said =
          nbdsh(
              uri,
              "h.set_request_structured_replies(" + structured + ")",
              "h.connect_uri(URI)",
              "h.pwrite(b'A'*70000, 100)",
              "assert h.pread(70000, 100) == b'A'*70000",
              "h.zero(4096, 4096)",
              "assert h.pread(4096, 4096) == bytearray(4096)",
              "h.zero(4096, 8192, nbd.CMD_FLAG_NO_HOLE)",
              "h.zero(4096, 8192, nbd.CMD_FLAG_FAST_ZERO)",
              "h.trim(4096, 0, nbd.CMD_FLAG_FUA)",
              "h.cache(4096, 8388608)",
              "h.flush()",
              "print('structured', h.get_structured_replies_negotiated())",
              "h.shutdown()",
              "print('all well')");
      assertThat(said).contains("structured " + structured, "all well");
    }
  }

  @Test
  void nbdsh_extendedHeaders_work() throws Exception {
    assumeTrue(
        nbdsh("", "print(hasattr(h, 'get_extended_headers_negotiated'))").contains("True"),
        "this libnbd has no extended headers");
    String said =
        nbdsh(
            serve(),
            "h.add_meta_context('base:allocation')",
            "h.add_meta_context('x-uloop:cached')",
            "h.connect_uri(URI)",
            "print('extended', h.get_extended_headers_negotiated())",
            "seen = {}",
            "f = lambda c, o, e, err: seen.__setitem__(c, e)",
            "h.block_status_64(h.get_size(), 0, f)",
            "print('all', sorted(seen))",
            "seen.clear()",
            "h.block_status_filter(h.get_size(), 0, ['x-uloop:cached'], f)",
            "print('some', sorted(seen), seen)",
            "h.pwrite(b'B'*5000, 1)",
            "assert h.pread(5000, 1) == b'B'*5000",
            "h.zero(h.get_size(), 0)",
            "print('all well')");

    assertThat(said)
        .contains("extended True", "all ['base:allocation', 'x-uloop:cached']")
        .contains("some ['x-uloop:cached']", "all well");
  }

  @Test
  void nbdsh_errors_areReportedAndTheConnectionGoesOn() throws Exception {
    device.failing(8 << 20, (8 << 20) + 4096);
    String said =
        nbdsh(
            serve(),
            "h.set_strict_mode(getattr(nbd, 'STRICT_AUTO_FLAG', 0))",
            "h.connect_uri(URI)",
            "import errno",
            "def code(f):\n"
                + "  try: f(); return None\n"
                + "  except nbd.Error as e: return errno.errorcode.get(e.errnum, e.errnum)",
            "print('read', code(lambda: h.pread(4096, 8388608)))",
            "print('beyond', code(lambda: h.pread(4096, h.get_size())))",
            "print('full', code(lambda: h.pwrite(b'x'*4096, h.get_size())))",
            "print('status', code(lambda: h.block_status(1, 0, lambda *a: 0)))",
            "assert len(h.pread(4096, 0)) == 4096",
            "print('all well')");

    assertThat(said).contains("read EIO", "beyond EINVAL", "full ENOSPC", "status", "all well");
  }

  @Test
  void nbdsh_oldHandshakes_work() throws Exception {
    String uri = serve();
    for (String mask : new String[] {"0", "nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE"}) {
      assertThat(
              nbdsh(
                  uri,
                  "h.set_handshake_flags(" + mask + ")",
                  "h.connect_uri(URI)",
                  "print(h.get_protocol(), len(h.pread(512, 0)))"))
          .contains("512");
    }
  }

  @Test
  void nbdsh_optionMode_works() throws Exception {
    assertThat(
            nbdsh(
                serve(),
                "h.set_opt_mode(True)",
                "h.connect_uri(URI)",
                "h.opt_list(lambda n, d: print('export', n, d) or 0)",
                "h.opt_list_meta_context(lambda n: print('context', n) or 0)",
                "h.opt_info()",
                "print(h.get_size())",
                "h.opt_abort()"))
        .contains("export disk sixteen MiB", "context base:allocation", "16777216");
  }

  // ---- TLS ----

  @Test
  void nbdcopy_overTls_isTheSame() throws Exception {
    NbdTls tls = NbdTls.ofFolder(keys.resolve("server"), true, true, Set.of("alice.example"));
    serve(c -> c.tls(tls));
    String port = server.places().get(1).replaceAll(".*:", "");
    Path copy = folder.resolve("copy");
    String uri = "nbds://localhost:" + port + "/disk?tls-certificates=" + keys.resolve("alice");
    run("nbdcopy", "--connections=2", uri, copy.toString());

    assertThat(Arrays.equals(Files.readAllBytes(copy), device.content)).isTrue();
    assertThat(run("nbdinfo", uri)).contains("with TLS");
    runFor(1, "nbdinfo", "nbd://localhost:" + port + "/disk");
  }

  @Test
  void qemuImg_overTls_isTheSame() throws Exception {
    NbdTls tls = NbdTls.ofFolder(keys.resolve("server"), true, false, Set.of());
    serve(c -> c.tls(tls));
    String port = server.places().get(1).replaceAll(".*:", "");

    assertThat(
            run(
                "qemu-img",
                "info",
                "--object",
                "tls-creds-x509,id=t,endpoint=client,dir=" + keys.resolve("alice"),
                "--image-opts",
                "driver=nbd,host=localhost,port=" + port + ",export=disk,tls-creds=t"))
        .contains("16 MiB");
  }

  // ---- qemu ----

  @Test
  void qemuImg_convert_isTheSame() throws Exception {
    Path copy = folder.resolve("copy");
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", serve(), copy.toString());

    assertThat(Arrays.equals(Files.readAllBytes(copy), device.content)).isTrue();
  }

  @Test
  void qemuImg_map_showsTheHole() throws Exception {
    assertThat(run("qemu-img", "map", "--output=json", "-f", "raw", serve()))
        .contains("\"start\": 4194304, \"length\": 2097152")
        .contains("\"zero\": true");
  }

  @Test
  void qemuIo_commands_work() throws Exception {
    String uri = serve();
    assertThat(
            run(
                "qemu-io",
                "-t",
                "writeback",
                "-f",
                "raw",
                "-c",
                "write -P 5 4096 65536",
                "-c",
                "read -P 5 4096 65536",
                "-c",
                "write -z 8192 4096",
                "-c",
                "read -P 0 8192 4096",
                "-c",
                "write -f -P 6 0 512",
                "-c",
                "discard 0 4096",
                "-c",
                "flush",
                uri))
        .doesNotContain("rror", "failed");
    assertThat(device.calls()).contains("write 4096 65536");
    assertThat(device.flushes.get()).isPositive();
  }

  // ---- others ----

  @Test
  void fio_randomReadsAndWrites_verify() throws Exception {
    String said =
        run(
            "fio",
            "--name=j",
            "--ioengine=nbd",
            "--uri=" + serve(),
            "--rw=randwrite",
            "--bs=4k",
            "--iodepth=32",
            "--size=16m",
            "--verify_state_save=0",
            "--verify=crc32c",
            "--randseed=1");

    assertThat(said).contains("err= 0");
  }

  @Test
  void nbdkit_asClient_readsTheSame() throws Exception {
    need("nbdkit", "nbdcopy");
    String uri = serve();
    Path copy = folder.resolve("copy");
    run("nbdkit", "-U", "-", "nbd", "uri=" + uri, "--run", "nbdcopy \"$uri\" " + copy);

    assertThat(Arrays.equals(Files.readAllBytes(copy), device.content)).isTrue();
  }

  @Test
  void nbdClient_list_namesTheExport() throws Exception {
    serve();
    String port = server.places().get(1).replaceAll(".*:", "");

    assertThat(run("nbd-client", "-l", "127.0.0.1", port)).contains("disk");
  }
}
