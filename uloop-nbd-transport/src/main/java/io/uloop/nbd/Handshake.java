/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.DeviceCapabilities;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The option haggling of one client: bytes in, replies out, until it asks for an export.
 *
 * <p>An option is taken when all its data are there; one that is too long is skipped. What cannot
 * be answered (a wrong magic number, an export that NBD_OPT_EXPORT_NAME cannot have) ends the
 * connection.
 *
 * <p><b>Source:</b> proto.md, "Fixed newstyle negotiation", "Option types", "TLS support".
 */
final class Handshake {

  private static final int OPTION_HEADER_BYTES = 16;
  private static final int REPLY_HEADER_BYTES = 20;

  /** What is skipped of an option that is too long; a longer one ends the connection. */
  private static final int MAX_SKIPPED_BYTES = 16 << 20;

  /** Answers are collected until the room is less than this. */
  private static final int ROOM_BYTES = 16 << 10;

  private final Connection connection;
  private final ServerState server;

  /** What the client said it can; null before that. */
  private @Nullable Integer clientFlags;

  /** The data of an option too long, still to be skipped. */
  private int skip;

  private int options;
  private boolean over;

  /** What was agreed; forgotten at STARTTLS. */
  private ReplyStyle style = ReplyStyle.SIMPLE;

  /** The name of the export that the contexts were chosen for, and their masks. */
  private @Nullable String contextsOf;

  private int contexts;

  Handshake(Connection connection, ServerState server) {
    this.connection = connection;
    this.server = server;
  }

  /** Says hello. */
  void greet() {
    connection
        .out()
        .reserve(18)
        .putLong(Nbd.INIT_PASSWD)
        .putLong(Nbd.IHAVEOPT)
        .putShort((short) (Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES));
  }

  /**
   * Takes what can be taken; leaves the beginning of what is not all there.
   *
   * @return false if the next option has to wait until the client takes its answers
   */
  boolean consume(ByteBuffer in) throws IOException {
    while (!over) {
      if (connection.out().room() < ROOM_BYTES
          && connection.flush(false) != OutputQueue.State.EMPTY) {
        return false;
      }
      int skipped = Math.min(skip, in.remaining());
      in.position(in.position() + skipped);
      skip -= skipped;
      if (skip > 0 || !(clientFlags == null ? takeFlags(in) : takeOption(in))) {
        return true;
      }
    }
    return true;
  }

  private boolean takeFlags(ByteBuffer in) {
    if (in.remaining() < 4) {
      return false;
    }
    int flags = in.getInt();
    if ((flags & ~(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES)) != 0) {
      hangUp();
    }
    clientFlags = flags;
    return true;
  }

  private boolean takeOption(ByteBuffer in) throws IOException {
    if (in.remaining() < OPTION_HEADER_BYTES) {
      return false;
    }
    int start = in.position();
    long magic = in.getLong(start);
    int option = in.getInt(start + 8);
    int length = in.getInt(start + 12);
    if (magic != Nbd.IHAVEOPT
        || length < 0
        || length > MAX_SKIPPED_BYTES
        || options == server.limits().options()) {
      hangUp();
      return true;
    }
    if (length > server.limits().optionBytes()) {
      in.position(start + OPTION_HEADER_BYTES);
      skip = length;
      options++;
      if (option == Nbd.OPT_EXPORT_NAME) {
        hangUp();
      } else {
        reply(option, Nbd.REP_ERR_TOO_BIG, "option data too long");
      }
      return true;
    }
    if (in.remaining() < OPTION_HEADER_BYTES + length) {
      return false;
    }
    options++;
    ByteBuffer data = in.slice(start + OPTION_HEADER_BYTES, length);
    in.position(start + OPTION_HEADER_BYTES + length);
    answer(option, data, in);
    return true;
  }

  private void answer(int option, ByteBuffer data, ByteBuffer following) throws IOException {
    boolean plain = !connection.encrypted();
    if (option == Nbd.OPT_ABORT) {
      reply(option, Nbd.REP_ACK);
      hangUp();
    } else if (connection.stopping()) {
      refuse(option, Nbd.REP_ERR_SHUTDOWN, "the server is stopping");
    } else if (plain && tlsForced() && option != Nbd.OPT_STARTTLS) {
      refuse(option, Nbd.REP_ERR_TLS_REQD, "TLS is required here");
    } else {
      switch (option) {
        case Nbd.OPT_EXPORT_NAME -> exportName(data);
        case Nbd.OPT_LIST -> list(data);
        case Nbd.OPT_STARTTLS -> startTls(data, following);
        case Nbd.OPT_INFO, Nbd.OPT_GO -> info(option, data);
        case Nbd.OPT_STRUCTURED_REPLY -> structuredReply(data);
        case Nbd.OPT_EXTENDED_HEADERS -> extendedHeaders(data);
        case Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT -> metaContext(option, data);
        default -> reply(option, Nbd.REP_ERR_UNSUP, "unknown option");
      }
    }
  }

  private boolean tlsForced() {
    return server.config().tls().map(NbdTls::forced).orElse(false);
  }

  private void exportName(ByteBuffer data) {
    String name = OptionData.string(data, data.remaining());
    Optional<NbdExport> export = name == null ? Optional.empty() : server.config().export(name);
    if (export.isEmpty() || style == ReplyStyle.EXTENDED) {
      hangUp();
      return;
    }
    Integer flags = clientFlags;
    int zeroes = flags != null && (flags & Nbd.FLAG_NO_ZEROES) != 0 ? 0 : 124;
    ByteBuffer out = connection.out().reserve(10 + zeroes);
    out.putLong(export.get().device().size()).putShort((short) transmissionFlags(export.get()));
    out.put(new byte[zeroes]);
    enter(export.get());
  }

  private void list(ByteBuffer data) {
    if (data.hasRemaining()) {
      reply(Nbd.OPT_LIST, Nbd.REP_ERR_INVALID, "LIST has no data");
    } else if (!server.config().listing()) {
      reply(Nbd.OPT_LIST, Nbd.REP_ERR_POLICY, "listing is switched off");
    } else {
      for (NbdExport export : server.config().exports().values()) {
        byte[] name = export.name().getBytes(StandardCharsets.UTF_8);
        byte[] description = export.description().getBytes(StandardCharsets.UTF_8);
        header(Nbd.OPT_LIST, Nbd.REP_SERVER, 4 + name.length + description.length)
            .putInt(name.length)
            .put(name)
            .put(description);
      }
      reply(Nbd.OPT_LIST, Nbd.REP_ACK);
    }
  }

  private void startTls(ByteBuffer data, ByteBuffer following) throws IOException {
    int option = Nbd.OPT_STARTTLS;
    Optional<NbdTls> tls = server.config().tls();
    Integer flags = clientFlags;
    if (data.hasRemaining()) {
      reply(option, Nbd.REP_ERR_INVALID, "STARTTLS has no data");
    } else if (connection.encrypted()) {
      reply(option, Nbd.REP_ERR_INVALID, "TLS is in use already");
    } else if (tls.isEmpty() || flags == null || (flags & Nbd.FLAG_FIXED_NEWSTYLE) == 0) {
      reply(option, Nbd.REP_ERR_POLICY, "TLS is not offered");
    } else if (following.hasRemaining()) {
      // Plain bytes behind STARTTLS could have been put there by somebody in between, and would
      // be taken for the client's own once it is authenticated (CVE-2021-3716).
      hangUp();
    } else {
      style = ReplyStyle.SIMPLE;
      contextsOf = null;
      contexts = 0;
      reply(option, Nbd.REP_ACK);
      connection.startTls(tls.get());
    }
  }

  private void structuredReply(ByteBuffer data) {
    int option = Nbd.OPT_STRUCTURED_REPLY;
    if (data.hasRemaining()) {
      reply(option, Nbd.REP_ERR_INVALID, "STRUCTURED_REPLY has no data");
    } else if (style == ReplyStyle.EXTENDED) {
      reply(option, Nbd.REP_ERR_EXT_HEADER_REQD, "extended headers are in use already");
    } else {
      style = ReplyStyle.STRUCTURED;
      reply(option, Nbd.REP_ACK);
    }
  }

  private void extendedHeaders(ByteBuffer data) {
    if (data.hasRemaining()) {
      reply(Nbd.OPT_EXTENDED_HEADERS, Nbd.REP_ERR_INVALID, "EXTENDED_HEADERS has no data");
    } else {
      style = ReplyStyle.EXTENDED;
      reply(Nbd.OPT_EXTENDED_HEADERS, Nbd.REP_ACK);
    }
  }

  private void metaContext(int option, ByteBuffer data) {
    boolean set = option == Nbd.OPT_SET_META_CONTEXT;
    if (set) {
      // Whatever comes of it, the earlier choice is gone.
      contextsOf = null;
      contexts = 0;
    }
    OptionData.Meta query = OptionData.meta(data);
    if (query == null) {
      reply(option, Nbd.REP_ERR_INVALID, "malformed query");
      return;
    }
    if (set && style == ReplyStyle.SIMPLE) {
      reply(option, Nbd.REP_ERR_INVALID, "structured replies come first");
      return;
    }
    Optional<NbdExport> export = server.config().export(query.name());
    if (export.isEmpty()) {
      reply(option, Nbd.REP_ERR_UNKNOWN, "no such export");
      return;
    }
    for (MetaContext context : MetaContext.values()) {
      boolean asked =
          (!set && query.queries().isEmpty())
              || query.queries().stream().anyMatch(q -> context.matches(q, !set));
      if (asked) {
        byte[] name = context.bytes();
        header(option, Nbd.REP_META_CONTEXT, 4 + name.length)
            .putInt(set ? context.id() : 0)
            .put(name);
        contexts |= set ? context.mask() : 0;
      }
    }
    if (set) {
      contextsOf = export.get().name();
    }
    reply(option, Nbd.REP_ACK);
  }

  private void info(int option, ByteBuffer data) {
    OptionData.Info query = OptionData.info(data);
    if (query == null) {
      reply(option, Nbd.REP_ERR_INVALID, "malformed request");
      return;
    }
    Optional<NbdExport> found = server.config().export(query.name());
    if (found.isEmpty()) {
      reply(option, Nbd.REP_ERR_UNKNOWN, "no such export");
      return;
    }
    NbdExport export = found.get();
    header(option, Nbd.REP_INFO, 12)
        .putShort((short) Nbd.INFO_EXPORT)
        .putLong(export.device().size())
        .putShort((short) transmissionFlags(export));
    if (query.wants(Nbd.INFO_NAME)) {
      infoString(option, Nbd.INFO_NAME, export.name());
    }
    if (query.wants(Nbd.INFO_DESCRIPTION) && !export.description().isEmpty()) {
      infoString(option, Nbd.INFO_DESCRIPTION, export.description());
    }
    DeviceCapabilities can = export.device().capabilities();
    if (query.wants(Nbd.INFO_BLOCK_SIZE) || can.minimumBlockBytes() > 1) {
      int preferred = Math.max(can.preferredBlockBytes(), 512);
      header(option, Nbd.REP_INFO, 14)
          .putShort((short) Nbd.INFO_BLOCK_SIZE)
          .putInt(can.minimumBlockBytes())
          .putInt(preferred)
          .putInt(Math.max(server.limits().payloadBytes(), preferred));
    }
    reply(option, Nbd.REP_ACK);
    if (option == Nbd.OPT_GO) {
      enter(export);
    }
  }

  private void infoString(int option, int info, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    header(option, Nbd.REP_INFO, 2 + bytes.length).putShort((short) info).put(bytes);
  }

  private int transmissionFlags(NbdExport export) {
    DeviceCapabilities can = export.device().capabilities();
    // All connections share one device, so its flush covers what any of them wrote.
    int flags =
        Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_SEND_FLUSH | Nbd.FLAG_CAN_MULTI_CONN | Nbd.FLAG_SEND_CACHE;
    flags |= can.rotational() ? Nbd.FLAG_ROTATIONAL : 0;
    flags |= style.chunked() ? Nbd.FLAG_SEND_DF : 0;
    if (style == ReplyStyle.EXTENDED && chosenFor(export) != 0) {
      flags |= Nbd.FLAG_BLOCK_STATUS_PAYLOAD;
    }
    if (!can.writable()) {
      return flags | Nbd.FLAG_READ_ONLY;
    }
    flags |= Nbd.FLAG_SEND_FUA;
    flags |= can.canTrim() ? Nbd.FLAG_SEND_TRIM : 0;
    flags |= can.canZero() ? Nbd.FLAG_SEND_WRITE_ZEROES : 0;
    flags |= can.canZero() && can.canFastZero() ? Nbd.FLAG_SEND_FAST_ZERO : 0;
    return flags;
  }

  private int chosenFor(NbdExport export) {
    return export.name().equals(contextsOf) ? contexts : 0;
  }

  private void enter(NbdExport export) {
    over = true;
    connection.enterTransmission(
        new Transmission(
            connection, server, export, style, transmissionFlags(export), chosenFor(export)));
  }

  /** Refuses an option; NBD_OPT_EXPORT_NAME has no reply, so there the connection ends. */
  private void refuse(int option, int type, String text) {
    if (option == Nbd.OPT_EXPORT_NAME) {
      hangUp();
    } else {
      reply(option, type, text);
    }
  }

  private void hangUp() {
    over = true;
    connection.finish();
  }

  private void reply(int option, int type) {
    header(option, type, 0);
  }

  private void reply(int option, int type, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    header(option, type, bytes.length).put(bytes);
  }

  /** Puts the header of a reply; the caller puts the data, of exactly that length. */
  private ByteBuffer header(int option, int type, int length) {
    return connection
        .out()
        .reserve(REPLY_HEADER_BYTES + length)
        .putLong(Nbd.REP_MAGIC)
        .putInt(option)
        .putInt(type)
        .putInt(length);
  }
}
