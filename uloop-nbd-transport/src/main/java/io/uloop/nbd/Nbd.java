/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

/**
 * The numbers of the protocol, named as its text names them.
 *
 * <p><b>Source:</b> NetworkBlockDevice/nbd, doc/proto.md, "Values"; for EXTENDED_HEADERS the branch
 * extension-ext-header of the same file.
 */
final class Nbd {

  static final int DEFAULT_PORT = 10809;

  static final long INIT_PASSWD = 0x4e42444d41474943L;
  static final long IHAVEOPT = 0x49484156454F5054L;
  static final long REP_MAGIC = 0x3e889045565a9L;
  static final int REQUEST_MAGIC = 0x25609513;
  static final int SIMPLE_REPLY_MAGIC = 0x67446698;
  static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;
  static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
  static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

  /** Handshake flags, the same bits in both directions. */
  static final int FLAG_FIXED_NEWSTYLE = 1;

  static final int FLAG_NO_ZEROES = 1 << 1;

  static final int FLAG_HAS_FLAGS = 1;
  static final int FLAG_READ_ONLY = 1 << 1;
  static final int FLAG_SEND_FLUSH = 1 << 2;
  static final int FLAG_SEND_FUA = 1 << 3;
  static final int FLAG_ROTATIONAL = 1 << 4;
  static final int FLAG_SEND_TRIM = 1 << 5;
  static final int FLAG_SEND_WRITE_ZEROES = 1 << 6;
  static final int FLAG_SEND_DF = 1 << 7;
  static final int FLAG_CAN_MULTI_CONN = 1 << 8;
  static final int FLAG_SEND_CACHE = 1 << 10;
  static final int FLAG_SEND_FAST_ZERO = 1 << 11;
  static final int FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12;

  static final int OPT_EXPORT_NAME = 1;
  static final int OPT_ABORT = 2;
  static final int OPT_LIST = 3;
  static final int OPT_STARTTLS = 5;
  static final int OPT_INFO = 6;
  static final int OPT_GO = 7;
  static final int OPT_STRUCTURED_REPLY = 8;
  static final int OPT_LIST_META_CONTEXT = 9;
  static final int OPT_SET_META_CONTEXT = 10;
  static final int OPT_EXTENDED_HEADERS = 11;

  static final int REP_ACK = 1;
  static final int REP_SERVER = 2;
  static final int REP_INFO = 3;
  static final int REP_META_CONTEXT = 4;
  static final int REP_ERR_UNSUP = 1 << 31 | 1;
  static final int REP_ERR_POLICY = 1 << 31 | 2;
  static final int REP_ERR_INVALID = 1 << 31 | 3;
  static final int REP_ERR_TLS_REQD = 1 << 31 | 5;
  static final int REP_ERR_UNKNOWN = 1 << 31 | 6;
  static final int REP_ERR_SHUTDOWN = 1 << 31 | 7;
  static final int REP_ERR_TOO_BIG = 1 << 31 | 9;
  static final int REP_ERR_EXT_HEADER_REQD = 1 << 31 | 10;

  static final int INFO_EXPORT = 0;
  static final int INFO_NAME = 1;
  static final int INFO_DESCRIPTION = 2;
  static final int INFO_BLOCK_SIZE = 3;

  static final int CMD_READ = 0;
  static final int CMD_WRITE = 1;
  static final int CMD_DISC = 2;
  static final int CMD_FLUSH = 3;
  static final int CMD_TRIM = 4;
  static final int CMD_CACHE = 5;
  static final int CMD_WRITE_ZEROES = 6;
  static final int CMD_BLOCK_STATUS = 7;

  static final int CMD_FLAG_FUA = 1;
  static final int CMD_FLAG_NO_HOLE = 1 << 1;
  static final int CMD_FLAG_DF = 1 << 2;
  static final int CMD_FLAG_REQ_ONE = 1 << 3;
  static final int CMD_FLAG_FAST_ZERO = 1 << 4;
  static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;

  static final int REPLY_FLAG_DONE = 1;
  static final int REPLY_TYPE_NONE = 0;
  static final int REPLY_TYPE_OFFSET_DATA = 1;
  static final int REPLY_TYPE_OFFSET_HOLE = 2;
  static final int REPLY_TYPE_BLOCK_STATUS = 5;
  static final int REPLY_TYPE_BLOCK_STATUS_EXT = 6;
  static final int REPLY_TYPE_ERROR = 1 << 15 | 1;
  static final int REPLY_TYPE_ERROR_OFFSET = 1 << 15 | 2;

  static final int STATE_HOLE = 1;
  static final int STATE_ZERO = 1 << 1;

  /** "Conventions": no string is longer. */
  static final int MAX_STRING_BYTES = 4096;

  /** "Size constraints": what every server takes unless it says otherwise, 2^25. */
  static final int DEFAULT_MAX_PAYLOAD_BYTES = 32 << 20;

  private Nbd() {}
}
