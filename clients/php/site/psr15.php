<?php
// The site as a PSR-15 handler behind TokenCache\Middleware, with Nyholm's messages (Debian: php-nyholm-psr7).
declare(strict_types=1);

require_once 'Nyholm/Psr7/autoload.php';
require_once __DIR__ . '/psr15-interfaces.php';

use Nyholm\Psr7\Factory\Psr17Factory;
use Nyholm\Psr7\Response;
use Nyholm\Psr7\ServerRequest;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use TokenCache\Middleware;
use TokenCache\Session;
use TokenCache\Settings;

final class SiteHandler implements RequestHandlerInterface
{
    public function __construct(private bool $revealsCaptchas)
    {
    }

    public function handle(ServerRequestInterface $request): ResponseInterface
    {
        $site = new Site($request->getAttribute(Session::class), false, $this->revealsCaptchas);
        [$status, $headers, $body] = $site->respond($request->getMethod(), $request->getUri()->getPath(),
            $request->getQueryParams(), (array) $request->getParsedBody());
        return new Response($status, $headers, $body);
    }
}

/** What a framework does: PHP's request in, the response out. */
function servePsr15(Settings $settings, bool $revealsCaptchas): void
{
    $headers = [];
    foreach ($_SERVER as $name => $value) {
        if (str_starts_with($name, 'HTTP_')) {
            $headers[strtr(substr($name, strlen('HTTP_')), '_', '-')] = (string) $value;
        }
    }
    $request = (new ServerRequest($_SERVER['REQUEST_METHOD'], $_SERVER['REQUEST_URI'], $headers, null, '1.1', $_SERVER))
        ->withCookieParams($_COOKIE)->withQueryParams($_GET)->withParsedBody($_POST);
    $response = (new Middleware(new Psr17Factory(), $settings))->process($request, new SiteHandler($revealsCaptchas));
    http_response_code($response->getStatusCode());
    foreach ($response->getHeaders() as $name => $values) {
        foreach ($values as $value) {
            header("$name: $value", false);
        }
    }
    echo $response->getBody();
}
