<?php
declare(strict_types=1);

namespace TokenCache;

use Psr\Http\Message\ResponseFactoryInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\MiddlewareInterface;
use Psr\Http\Server\RequestHandlerInterface;

/**
 * PSR-15: the session is the request's attribute `TokenCache\Session`. The middleware sets the cookie, answers 503 where nobody
 * knows, and sends a browser to the page once more that holds a newer token than it sent. It stands outside of everything that
 * makes or changes pages, behind what answers errors.
 */
final class Middleware implements MiddlewareInterface
{
    private Client $client;

    public function __construct(private ResponseFactoryInterface $responses, private Settings $settings = new Settings())
    {
        $this->client = $settings->client();
    }

    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        $session = null;
        $asked = Request::fromPsr($request, $this->settings);
        try {
            $session = new Session($this->client, $this->settings, $asked);
            $address = $session->onceMore();
            $response = $address !== null
                ? $this->responses->createResponse(303)->withHeader('Location', $address)
                : $handler->handle($request->withAttribute(Session::class, $session));
        } catch (LoginRefused $error) {
            throw $error;
        } catch (Unavailable | NotAccepted $error) {
            [$status, $headers, $body] = Answer::to($error, $asked);
            $response = $this->responses->createResponse($status);
            foreach ($headers as $name => $value) {
                $response = $response->withHeader($name, $value);
            }
            $response->getBody()->write($body);
        }
        foreach ($session?->headers() ?? [] as $name => $value) {
            // Beside the site's own cookies; what it says of this one, and of caches, gives way.
            $others = $name !== 'Set-Cookie' ? [] : array_filter($response->getHeader($name),
                fn (string $line): bool => !str_starts_with(ltrim($line), "{$this->settings->cookieName()}="));
            $response = $response->withHeader($name, [...$others, $value]);
        }
        return $response;
    }
}
