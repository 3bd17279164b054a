/**
 * The version of this program, as the build took it from package.json.
 */

/** Written by the build. */
declare const OPENEXEC_VERSION: string;
/** `0.0.0` where nothing was built. */
export const VERSION = typeof OPENEXEC_VERSION === 'string' ? OPENEXEC_VERSION : '0.0.0';
