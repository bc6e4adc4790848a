/**
 * Every number of the protocol: first those of the whitepaper, §6.1 and §5.4, then our own limits. Times are in
 * milliseconds.
 */

/** A time or a span. A time is counted on CLOCK_BOOTTIME, which goes on while the machine sleeps; 0 stands for never. */
export type Milliseconds = number;

// Whitepaper §6.1
export const RekeyAfterTime: Milliseconds = 120_000;
export const RejectAfterTime: Milliseconds = 180_000;
export const RekeyAttemptTime: Milliseconds = 90_000;
export const RekeyTimeout: Milliseconds = 5_000;
export const KeepaliveTimeout: Milliseconds = 10_000;

// Whitepaper §5.4.7 and §6.6
export const CookieRefreshTime: Milliseconds = 120_000;

// Whitepaper §5.4
export const construction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
export const identifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";
export const labelMac1 = "mac1----";
export const labelCookie = "cookie--";
export const PaddingMultiple = 16;

// What every implementation in the field does beyond the paper (drivers/net/wireguard/messages.h, timers.c, receive.c).
export const RekeyTimeoutJitterMax: Milliseconds = 334;
export const MaxTimerHandshakes: number = RekeyAttemptTime / RekeyTimeout;
export const HandshakeInitiationInterval: Milliseconds = 20;
export const UnderLoadAfterTime: Milliseconds = 1_000;
export const MaxStagedPackets = 128;
export const LimiterRatePerSecond = 20;
export const LimiterBurst = 5;

/**
 * The paper ends a key after 2^64 - 2^13 - 1 messages and renews it after 2^60. Our counters are doubles, exact below
 * 2^53, so we end it at 2^48, which at ten million messages a second is 326 days of a key that lives three minutes.
 */
export const RejectAfterMessages: number = 2 ** 48;
export const RekeyAfterMessages: number = 2 ** 47;
/** Received counters from here on are dropped: nobody gets here in 180 seconds, and a double could not tell them apart. */
export const CounterLimit: number = 2 ** 53;

/**
 * How many handshakes that can wait begin from one `expire` to the next. Each takes a quarter of a millisecond, and ten
 * thousand peers with a persistent keepalive ask for theirs at once.
 */
export const HandshakesPerTurn = 32;

/** From one handshake message to the next where the network has changed and there is no sense in waiting longer. */
export const UrgentHandshakeInterval: Milliseconds = 1_000;
