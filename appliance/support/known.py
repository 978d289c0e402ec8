"""What a support bundle lets pass of signalling: words of standards and names of products, none of them a person's.

Sources: IANA's registries of SIP methods, header fields, option tags, event packages and media types.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# RFC 3261 and its extensions
METHODS: Final = _words("""
    ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE
""")
# bodies of SIP
MEDIA_TYPES: Final = _words("""
    application/dialog-info+xml application/dtmf application/dtmf-relay application/isup
    application/kpml-request+xml application/kpml-response+xml application/media_control+xml
    application/pidf+xml application/qsig application/rs-metadata+xml application/sdp
    application/simple-message-summary application/vnd.cisco.calllist+xml message/cpim message/sip
    message/sipfrag multipart/alternative multipart/mixed multipart/related text/html text/plain
""")
# option tags, event packages, words of Privacy, Reason, Subscription-State
WORDS: Final = _words("""
    100rel active alert answermode as-feature-event call-completion cause check-sync conference critical
    deactivated dialog direct early-session em eventlist expires explicitsub from-change full geolocation-http
    giveup gruu gzip handling header histinfo history hold ice icon id identity info join keep-alive kpml
    line-seize message-summary multiple-refer no none norefersub noresource nosub optional outbound partial path
    pending policy precondition preemption pref presence privacy probation q.850 reason recipient-list-invite
    record-aware refer refresher reg rejected remote render replaces required resource-priority retry-after
    sdp-anat sec-agree session sip siprec talk tdialog telephone-event terminated timeout timer trickle-ice
    ua-profile uac uas user uui yes
""")
# makers and programs, as User-Agent names them
PRODUCTS: Final = _words("""
    3cx aastra acme alcatel alcatel-lucent android askozia asterisk audiocodes aura avaya baresip beta box bria
    broadsoft broadworks cisco cisco-sipgateway cp csf cucm dect digium drachtio fanvil fpbx freepbx freeswitch
    fritz gateway genband genesys gigaset git grandstream gxp gxv ht htek innovaphone ios iphone jabber jambonz
    jssip kamailio linksys linphone linux lync mediant mediation mediationserver metaswitch microsip microsoft
    mitel mivoice mod nec obi obihai openscape openser opensips oracle oxe packet panasonic patton pbx perimeta
    phone phonesystem pjsip pjsua poly polycom polycomvvx proxy rc release ribbon ribbon-sbc rtcc rtpengine
    sangoma sbc server siemens sip sipjs sipml5 sipp sipserver skype smartnode snom sofia sofia-sip sonus spa
    stack starface swe switchvox swyx swyxware teams trunk twilio unify version voip w60b wildix windows x-lite
    x64 xorcom yealink zoiper zoom zoomphone
""")
# headers whose value is a secret
CREDENTIALS: Final = _words("""
    authentication-info authorization identity proxy-authenticate proxy-authorization www-authenticate
""")
# headers that are known, and whose value is never told
REMOVED: Final = _words("""
    accept-language date subject organization priority content-id content-language mime-version
""")
# parameters that name dialogs
TAGS: Final = _words("""
    call-id from-tag icid-value local-tag remote remote-tag tag to-tag
""")
# parameters that are small numbers
COUNTS: Final = _words("""
    cause counter expires index max-forwards min-se q refresh-interval reg-id rport session-expires ttl
""")
# parameters that are hosts
HOSTS: Final = _words("""
    domain icid-generated-at maddr orig-ioi received term-ioi
""")
# headers that are addresses
ADDRESSED: Final = _words("""
    contact diversion from history-info p-asserted-identity p-associated-uri p-called-party-id
    p-preferred-identity path record-route refer-to referred-by remote-party-id reply-to route service-route to
""")
# headers that are lists of words
WORDED: Final = _words("""
    accept accept-encoding allow allow-events content-disposition content-encoding event info-package privacy
    proxy-require recv-info request-disposition require subscription-state supported unsupported
""")
# encodings of RTP payloads
CODECS: Final = _words("""
    aal2-g726-32 amr amr-wb amr-wb+ av1 clearmode cn dvi4 evrc evs flexfec-03 g722 g7221 g723 g726-16 g726-24
    g726-32 g726-40 g728 g729 g729a g729e gsm gsm-efr gsm-hr-08 h261 h263 h263-1998 h264 h265 ilbc isac l16 lpc
    mp4a-latm mpeg4-generic opus pcma pcmu qcelp red rtx silk siren speex t140 t38 telephone-event tone ulpfec
    vp8 vp9 x-msrta
""")
# transports of media
PROFILES: Final = _words("""
    rtp/avp rtp/avpf rtp/savp rtp/savpf tcp tcp/msrp tcp/tls/msrp udp udp/dtls/sctp udp/tls/rtp/savp
    udp/tls/rtp/savpf udptl
""")
# parameters of codecs
FMTP_KEYS: Final = _words("""
    annexa annexb apt bitrate br bw cbr channels crc dtx dtx-recv evs-mode-switch hf-only interleaving max-red
    maxaveragebitrate maxplaybackrate maxptime minptime mode mode-change-capability mode-change-neighbor
    mode-change-period mode-set octet-align packetization-mode profile-level-id ptime rate robust-sorting
    sprop-maxcapturerate sprop-stereo stereo usedtx useinbandfec vad vbr
""")
# attributes without a value
FLAGS: Final = _words("""
    bundle-only ice-lite inactive recvonly rtcp-mux rtcp-rsize sendonly sendrecv
""")
# what responses are called
REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    433: "Anonymity Disallowed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}
