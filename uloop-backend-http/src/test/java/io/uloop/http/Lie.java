/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static io.uloop.http.AnswerParts.body;
import static io.uloop.http.AnswerParts.chunked;
import static io.uloop.http.AnswerParts.closeDelimited;
import static io.uloop.http.AnswerParts.contentRange;
import static io.uloop.http.AnswerParts.framed;
import static io.uloop.http.AnswerParts.honest;
import static io.uloop.http.AnswerParts.partial;
import static io.uloop.http.AnswerParts.partialHead;
import static io.uloop.http.AnswerParts.status;
import static io.uloop.http.AnswerParts.whole;
import static io.uloop.http.AnswerParts.withTag;

import io.uloop.http.LyingOrigin.Answer;
import io.uloop.http.LyingOrigin.Request;
import io.uloop.http.LyingOrigin.Wire;
import java.io.IOException;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;

/** The ways in which a {@link LyingOrigin} answers. */
public enum Lie implements Answer {
  /** The truth. */
  NONE((r, w) -> honest(r, w)),

  // Right, though unusual.
  /** Chunked, right. */
  CHUNKED((r, w) -> chunked(r, w, r.length(), true)),
  /** No length, the end of the connection is the end of the body; right. */
  CLOSE_DELIMITED((r, w) -> closeDelimited(r, w, r.length())),
  /** A first part of the range, rightly named. */
  PART_OF_RANGE((r, w) -> partial(r, w, r.first(), (r.length() + 1) / 2)),
  /** Other answers before the answer. */
  EARLY_HINTS(
      (r, w) -> {
        w.text("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
        honest(r, w);
      }),
  /** Header names and units in the other case, and the total left out. */
  ODD_CASE(
      (r, w) -> {
        w.head(
            "HTTP/1.1 206 partial",
            w.validators(),
            "content-range: BYTES " + r.first() + "-" + r.last() + "/*",
            "content-length: " + r.length());
        body(r, w, r.first(), r.length());
      }),
  /** Says that it closes the connection, and does. */
  CLOSE(
      (r, w) -> {
        List<String> head = new ArrayList<>(w.validators());
        head.add("Connection: close");
        partialHead(r, w, head, r.first(), r.length(), r.length());
        body(r, w, r.first(), r.length());
        w.end();
      }),
  /** Closes the connection without having said so. */
  CLOSE_SILENTLY(
      (r, w) -> {
        honest(r, w);
        w.end();
      }),
  /** As HTTP/1.0. */
  OLD_VERSION(
      (r, w) -> {
        w.head(
            "HTTP/1.0 206 Partial Content",
            w.validators(),
            contentRange(r, w, r.first(), r.length()),
            "Content-Length: " + r.length());
        body(r, w, r.first(), r.length());
        w.end();
      }),

  // Wrong ranges and lengths.
  /** 200 and the whole image. */
  IGNORE_RANGE(
      (r, w) -> {
        w.head("HTTP/1.1 200 OK", w.validators(), "Content-Length: " + w.image().length);
        body(r, w, 0, w.image().length);
      }),
  /** The bytes of the range beside the one asked for, rightly named. */
  OTHER_RANGE(
      (r, w) -> {
        long first = r.last() + 1 < w.image().length ? r.first() + 1 : Math.max(0, r.first() - 1);
        partial(r, w, first, r.length());
      }),
  /** More than was asked for, rightly named. */
  LONGER_RANGE(
      (r, w) ->
          partial(r, w, r.first(), (int) Math.min(w.image().length - r.first(), r.length() + 7))),
  /** Another total size. */
  OTHER_TOTAL(
      (r, w) -> {
        w.head(
            "HTTP/1.1 206 Partial Content",
            w.validators(),
            "Content-Range: bytes " + r.first() + "-" + r.last() + "/" + (w.image().length + 5),
            "Content-Length: " + r.length());
        body(r, w, r.first(), r.length());
      }),
  /** 206 without Content-Range. */
  NO_CONTENT_RANGE(
      (r, w) -> {
        w.head("HTTP/1.1 206 Partial Content", w.validators(), "Content-Length: " + r.length());
        body(r, w, r.first(), r.length());
      }),
  /** A Content-Range that is none. */
  BAD_CONTENT_RANGE(
      (r, w) -> {
        w.head(
            "HTTP/1.1 206 Partial Content",
            w.validators(),
            "Content-Range: bytes " + r.last() + "-" + r.first() + "/banana",
            "Content-Length: " + r.length());
        body(r, w, r.first(), r.length());
      }),
  /** A Content-Length smaller than the range. */
  SHORT_LENGTH(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length() - 1);
        body(r, w, r.first(), r.length() - 1);
      }),
  /** A Content-Length larger than the range. */
  LONG_LENGTH(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length() + 9);
        body(r, w, r.first(), r.length());
        w.text("surplus..");
      }),
  /** A multipart body for one range. */
  MULTIPART(
      (r, w) -> {
        String part =
            "--x\r\nContent-Range: bytes "
                + r.first()
                + "-"
                + r.last()
                + "/"
                + w.image().length
                + "\r\n\r\n";
        w.head(
            "HTTP/1.1 206 Partial Content",
            w.validators(),
            "Content-Type: multipart/byteranges; boundary=x",
            "Content-Length: " + (part.length() + r.length() + 7));
        w.text(part);
        body(r, w, r.first(), r.length());
        w.text("\r\n--x--");
      }),
  /** A body said to be compressed. */
  CODED(
      (r, w) -> {
        w.head(
            "HTTP/1.1 206 Partial Content",
            w.validators(),
            "Content-Encoding: gzip",
            contentRange(r, w, r.first(), r.length()),
            "Content-Length: " + r.length());
        body(r, w, r.first(), r.length());
      }),

  /** Two lengths of one body. */
  TWO_LENGTHS(
      (r, w) ->
          framed(r, w, "Content-Length: " + r.length(), "Content-Length: " + (r.length() + 1))),
  /** A length that is none. */
  BAD_LENGTH((r, w) -> framed(r, w, "Content-Length: -7")),
  /** A transfer coding that nobody asked for. */
  GZIP_TRANSFER((r, w) -> framed(r, w, "Transfer-Encoding: gzip, chunked")),

  // 200 in place of 206, and not even that right.
  /** The whole image, without a length. */
  WHOLE_CHUNKED(
      (r, w) -> {
        int size = w.image().length;
        w.head("HTTP/1.1 200 OK", w.validators(), "Transfer-Encoding: chunked");
        w.text(Integer.toHexString(size) + "\r\n");
        body(r, w, 0, size);
        w.text("\r\n0\r\n\r\n");
      }),
  /** The whole image, broken off in the middle. */
  WHOLE_BREAK_OFF(
      (r, w) -> {
        int size = w.image().length;
        whole(r, w, w.validators(), "Content-Length: " + size, size / 2);
        w.end();
      }),
  /** An image that is a byte shorter. */
  WHOLE_SHORTER(
      (r, w) -> {
        int size = w.image().length - 1;
        whole(r, w, w.validators(), "Content-Length: " + size, size);
      }),
  /** The whole image with another strong ETag. */
  WHOLE_OTHER_ETAG(
      (r, w) -> {
        int size = w.image().length;
        whole(r, w, List.of("ETag: \"other\""), "Content-Length: " + size, size);
      }),
  /** The whole image, said to be compressed. */
  WHOLE_CODED(
      (r, w) -> {
        List<String> lines = new ArrayList<>(w.validators());
        lines.add("Content-Encoding: gzip");
        whole(r, w, lines, "Content-Length: " + w.image().length, w.image().length);
      }),

  // Bodies that break.
  /** Closes in the middle of the body. */
  BREAK_OFF(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length());
        body(r, w, r.first(), r.length() / 2);
        w.end();
      }),
  /** Resets in the middle of the body. */
  RESET_BODY(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length());
        body(r, w, r.first(), r.length() / 3);
        w.reset();
      }),
  /** Sends half of the body and then nothing for long. */
  STALL_BODY(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length());
        body(r, w, r.first(), r.length() / 2);
        w.stall(60_000);
        w.end();
      }),
  /** Sends the body byte by byte, ten a second. */
  TRICKLE_BODY(
      (r, w) -> {
        partialHead(r, w, w.validators(), r.first(), r.length(), r.length());
        for (int i = 0; i < r.length(); i++) {
          body(r, w, r.first() + i, 1);
          w.stall(100);
        }
      }),
  /** Ends a chunked body early, in order. */
  CHUNKED_SHORT((r, w) -> chunked(r, w, r.length() / 2, true)),
  /** Sends a chunked body that is longer than the range. */
  CHUNKED_LONG(
      (r, w) ->
          chunked(r, w, (int) Math.min(r.length() + 100, w.image().length - r.first()), true)),
  /** Ends a chunked body early, by closing. */
  CHUNKED_BREAK((r, w) -> chunked(r, w, r.length() / 2, false)),
  /** Sends a chunk size that is none. */
  CHUNKED_BAD(
      (r, w) -> {
        w.head(
            "HTTP/1.1 206 Partial Content",
            w.validators(),
            contentRange(r, w, r.first(), r.length()),
            "Transfer-Encoding: chunked");
        w.text("zebra\r\n");
        w.end();
      }),
  /** Sends too little of a body whose end is the end of the connection. */
  CLOSE_DELIMITED_SHORT((r, w) -> closeDelimited(r, w, r.length() / 2)),
  /** Sends an answer nobody asked for after the right one. */
  EXTRA_ANSWER(
      (r, w) -> {
        honest(r, w);
        partial(r, w, 0, Math.min(3, w.image().length));
      }),

  /** Ends a right chunked body with fields that never end. */
  TRICKLE_TRAILER(
      (r, w) -> {
        List<String> lines = new ArrayList<>(w.validators());
        lines.add(contentRange(r, w, r.first(), r.length()));
        w.head("HTTP/1.1 206 Partial Content", lines, "Transfer-Encoding: chunked");
        w.text(Integer.toHexString(r.length()) + "\r\n");
        body(r, w, r.first(), r.length());
        w.text("\r\n0\r\n");
        for (int i = 0; i < 1200; i++) {
          w.text("X-" + i + ": y\r\n");
          w.stall(50);
        }
        w.end();
      }),

  // Heads that break.
  /** Closes without an answer. */
  CLOSE_HEAD((r, w) -> w.end()),
  /** Resets without an answer. */
  RESET_HEAD((r, w) -> w.reset()),
  /** Takes the request and says nothing for long. */
  STALL_HEAD(
      (r, w) -> {
        w.stall(60_000);
        w.end();
      }),
  /** Sends an endless head, line by line. */
  TRICKLE_HEAD(
      (r, w) -> {
        w.text("HTTP/1.1 206 Partial Content\r\n");
        for (int i = 0; i < 600; i++) {
          w.text("X-" + i + ": y\r\n");
          w.stall(100);
        }
        w.end();
      }),
  /** Sends an endless head at once. */
  HUGE_HEAD(
      (r, w) -> {
        w.text("HTTP/1.1 206 Partial Content\r\n");
        for (int i = 0; i < 10_000; i++) {
          w.text("X-" + i + ": " + "y".repeat(100) + "\r\n");
        }
        w.end();
      }),
  /** Sends answers before the answer, and never that one. */
  ENDLESS_HINTS(
      (r, w) -> {
        for (int i = 0; i < 1200; i++) {
          w.text("HTTP/1.1 103 Early Hints\r\nX-N: " + i + "\r\n\r\n");
          w.stall(50);
        }
        w.end();
      }),
  /** Sends a body with the answer to HEAD. */
  HEAD_WITH_BODY(
      (r, w) -> {
        honest(r, w);
        if (r.head()) {
          w.bytes(0, Math.min(100, w.image().length));
        }
      }),
  /** Sends what is no HTTP. */
  GARBAGE(
      (r, w) -> {
        w.text("\u0000\u0001\u0002 220 mail.example ESMTP\r\n\r\n");
        w.end();
      }),

  // Other generations.
  /** Another strong ETag. */
  OTHER_ETAG((r, w) -> withTag(r, w, "ETag: \"other\"")),
  /** A weak ETag. */
  WEAK_ETAG((r, w) -> withTag(r, w, "ETag: W/\"v1-" + w.image().length + "\"")),
  /** No validators. */
  NO_VALIDATOR((r, w) -> withTag(r, w, "X-None: 0")),

  // Statuses.
  /** 204. */
  NO_CONTENT((r, w) -> w.head("HTTP/1.1 204 No Content", w.validators())),
  /** 304. */
  NOT_MODIFIED((r, w) -> w.head("HTTP/1.1 304 Not Modified", w.validators())),
  /** 400. */
  BAD_REQUEST(status("400 Bad Request")),
  /** 401. */
  UNAUTHORIZED(status("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"")),
  /** 403. */
  FORBIDDEN(status("403 Forbidden")),
  /** 404. */
  NOT_FOUND(status("404 Not Found")),
  /** 410. */
  GONE(status("410 Gone")),
  /** 412. */
  PRECONDITION_FAILED(status("412 Precondition Failed")),
  /** 416 with the right size. */
  NOT_SATISFIABLE(
      (r, w) ->
          w.head(
              "HTTP/1.1 416 Range Not Satisfiable",
              w.validators(),
              "Content-Range: bytes */" + w.image().length,
              "Content-Length: 0")),
  /** 418. */
  TEAPOT(status("418 I'm a teapot")),
  /** 429, to be left alone for a second. */
  TOO_MANY(status("429 Too Many Requests", "Retry-After: 1")),
  /** 500. */
  INTERNAL_ERROR(status("500 Internal Server Error")),
  /** 502 with a body. */
  BAD_GATEWAY(
      (r, w) -> {
        w.head("HTTP/1.1 502 Bad Gateway", List.of(), "Content-Length: 5");
        w.text("sorry");
      }),
  /** 503. */
  UNAVAILABLE(status("503 Service Unavailable")),
  /** 503 with a body that trickles. */
  UNAVAILABLE_TRICKLE(
      (r, w) -> {
        w.head("HTTP/1.1 503 Service Unavailable", List.of(), "Content-Length: 1200");
        for (int i = 0; i < 1200; i++) {
          w.text(".");
          w.stall(50);
        }
      }),
  /** 503, to be left alone until a date a second away. */
  UNAVAILABLE_UNTIL(
      (r, w) ->
          w.head(
              "HTTP/1.1 503 Service Unavailable",
              List.of(),
              "Retry-After: "
                  + DateTimeFormatter.RFC_1123_DATE_TIME.format(
                      ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(1)),
              "Content-Length: 0")),
  /** 302 to nowhere in particular. */
  REDIRECT_WITHOUT_LOCATION(status("302 Found")),
  /** 302 to what is no URL. */
  REDIRECT_TO_NOTHING(status("302 Found", "Location: http://[")),
  /** 302 to one place after the other. */
  REDIRECT_ON((r, w) -> LyingOrigin.redirect(302, r.target() + "x").write(r, w)),
  /** 302 to the same place. */
  REDIRECT_LOOP((r, w) -> LyingOrigin.redirect(302, r.target()).write(r, w));

  private final Answer answer;

  Lie(Answer answer) {
    this.answer = answer;
  }

  @Override
  public void write(Request request, Wire wire) throws IOException {
    if (request.length() < 1 && this != NONE) {
      NONE.write(request, wire);
      return;
    }
    answer.write(request, wire);
  }
}
